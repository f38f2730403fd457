"""A README as YAML head and body, of which a part is ours; the rest belongs to whoever wrote it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from hfneg.errors import InputError
from hfneg.runs.folder.card.heads import merged

BEGIN, END = "<!-- hfneg:begin (what stands between these marks is written anew) -->", "<!-- hfneg:end -->"

_HEAD = re.compile(r"\A\s*^---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_OURS = re.compile(r"<!-- hfneg:begin\b(?:(?!<!-- hfneg:begin\b).)*?<!-- hfneg:end -->", re.DOTALL)
_WINDOWS = "\r\n"


@dataclass
class Readme:
    """The head as a mapping and the body as text, our part included.

    Attributes:
        lines: the head as it was written.
        newline: what ends the lines of the head and of our part: what ended them before.
    """

    head: dict[str, Any] = field(default_factory=dict)
    body: str = ""
    lines: str = field(default="", repr=False, compare=False)
    newline: str = field(default="\n", repr=False, compare=False)

    @classmethod
    def parse(cls, text: str, what: str = "README.md") -> Readme:
        """Split a README; raises InputError where its head is no YAML mapping, for then nothing could be kept."""
        text = text.removeprefix("\ufeff")
        newline = _WINDOWS if text.count(_WINDOWS) * 2 > text.count("\n") else "\n"
        match = _HEAD.match(plain := text.replace(_WINDOWS, "\n"))
        if match is None:
            return cls({}, text, newline=newline)
        try:
            head = yaml.safe_load(match.group(1))
        except yaml.YAMLError as error:
            raise InputError(f"the YAML head of {what} cannot be read ({error}); mend it first") from None
        if head is None:
            head = {}
        if not isinstance(head, dict):
            raise InputError(f"the YAML head of {what} is a {type(head).__name__}, not a mapping; mend it first")
        body = _behind(text, match.group().count("\n")) if match.end() < len(plain) else ""
        return cls(head, body, match.group(1).rstrip("\n"), newline)

    def text(self) -> str:
        """The whole README; what has not changed in the head stays as it was written, comments too."""
        head = f"---\n{merged(self.lines, self.head)}---\n"
        return self._ended(head) + self.body

    def with_ours(self, part: str) -> Readme:
        """Our part of the body replaced, or put behind what is there."""
        inside = part.strip().replace("<!-- hfneg:", "<!- hfneg:")  # no mark but the two
        ours = self._ended(f"{BEGIN}\n{inside}\n{END}")
        if _OURS.search(self.body):
            first, *_ = _OURS.finditer(self.body)
            before, after = self.body[: first.start()], _OURS.sub("", self.body[first.end() :])
            return replace(self, body=f"{before}{ours}{after}")
        gap = "" if not self.body.strip() else self.body.rstrip("\r\n") + self.newline * 2
        return replace(self, body=f"{gap or self.newline}{ours}{self.newline}")

    def with_head(
        self, ours: Mapping[str, Any], added: Mapping[str, Sequence[Any]], default: Mapping[str, Any]
    ) -> Readme:
        """Keys of our own set (`ours`), lists of theirs made longer (`added`), and the rest only where absent."""
        head = dict(self.head)
        for key, value in default.items():
            head.setdefault(key, value)
        for key, values in added.items():
            known = head.get(key) or []
            known = list(known) if isinstance(known, list) else [known]
            head[key] = known + [value for value in values if value not in known]
        head.update(ours)
        return replace(self, head={key: value for key, value in head.items() if value not in (None, [])})

    def _ended(self, text: str) -> str:
        return text.replace("\n", self.newline)


def _behind(text: str, lines: int) -> str:
    """What stands behind the first `lines` lines, whatever ends them."""
    at = 0
    for _ in range(lines):
        at = text.index("\n", at) + 1
    return text[at:]
