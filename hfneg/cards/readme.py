"""A README as YAML head and body, of which a part is ours; the rest belongs to whoever wrote it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from hfneg.errors import InputError

BEGIN, END = "<!-- hfneg:begin (what stands between these marks is written anew) -->", "<!-- hfneg:end -->"

_HEAD = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)(?:\r?\n)?---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_OURS = re.compile(r"<!-- hfneg:begin\b(?:(?!<!-- hfneg:begin\b).)*?<!-- hfneg:end -->", re.DOTALL)


class _Dumper(yaml.SafeDumper):
    """Without anchors, and texts of several lines as they are."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _as_block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _as_block)


@dataclass
class Readme:
    """The head as a mapping and the body as text, our part included; `lines` is the head as it was written."""

    head: dict[str, Any] = field(default_factory=dict)
    body: str = ""
    lines: str = field(default="", repr=False, compare=False)

    @classmethod
    def parse(cls, text: str, what: str = "README.md") -> Readme:
        """Split a README; raises InputError where its head is no YAML mapping, for then nothing could be kept."""
        match = _HEAD.match(text)
        if match is None:
            return cls({}, text)
        try:
            head = yaml.safe_load(match.group(1))
        except yaml.YAMLError as error:
            raise InputError(f"the YAML head of {what} cannot be read ({error}); mend it first") from None
        if head is None:
            head = {}
        if not isinstance(head, dict):
            raise InputError(f"the YAML head of {what} is a {type(head).__name__}, not a mapping; mend it first")
        return cls(head, text[match.end() :], match.group(1).replace("\r\n", "\n"))

    def text(self) -> str:
        """The whole README; what has not changed in the head stays as it was written, comments too."""
        return f"---\n{_merged(self.lines, self.head)}---\n{self.body}"

    def with_ours(self, part: str) -> Readme:
        """Our part of the body replaced, or put behind what is there."""
        ours = f"{BEGIN}\n{part.strip()}\n{END}"
        if _OURS.search(self.body):
            first, *_ = _OURS.finditer(self.body)
            before, after = self.body[: first.start()], _OURS.sub("", self.body[first.end() :])
            return replace(self, body=f"{before}{ours}{after}")
        gap = "" if not self.body.strip() else self.body.rstrip("\n") + "\n\n"
        return replace(self, body=f"{gap or chr(10)}{ours}\n")

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


def _merged(lines: str, head: Mapping[str, Any]) -> str:
    """The head as YAML: keys whose values are those of `lines` as they stand there, the others written anew."""
    written = _dumped(head)
    before, parts, behind = _parts(lines)
    texts = []
    for key, value in head.items():
        above, text = parts.get(key, ("", ""))
        anew = _dumped({key: value})
        texts.append(above + (text if _same(text, anew) else anew))
    merged = before + "".join(texts) + behind
    # a head with anchors, or of a style that cannot be cut into keys, is written anew as a whole
    return merged if _same(merged, written) else written


def _parts(lines: str) -> tuple[str, dict[str, tuple[str, str]], str]:
    """(what stands before the first key, key -> (comments above it, its own lines), what stands behind the last)."""
    node = yaml.compose(lines, Loader=yaml.SafeLoader) if lines.strip() else None
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        return "", {}, ""
    rows = [line + "\n" for line in lines.split("\n")]
    starts = [key.start_mark.line for key, _ in node.value]
    parts: dict[str, tuple[str, str]] = {}
    above = ""
    for (key, _), start, stop in zip(node.value, starts, [*starts[1:], len(rows)], strict=True):
        last = stop
        while last > start + 1 and rows[last - 1].split("#")[0].strip() == "":
            last -= 1
        parts[key.value] = (above, "".join(rows[start:last]))
        above = "".join(rows[last:stop])
    return "".join(rows[: starts[0]]) if starts else "", parts, above if above.strip() else ""


def _dumped(head: Mapping[str, Any]) -> str:
    return yaml.dump(dict(head), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)


def _same(merged: str, written: str) -> bool:
    try:
        return bool(yaml.safe_load(merged) == yaml.safe_load(written))
    except yaml.YAMLError:
        return False
