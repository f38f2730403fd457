"""A YAML head with some of its values changed; everything else stays as it was written, comments too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Without anchors, and texts of several lines as they are."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _as_block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _as_block)


def merged(lines: str, head: Mapping[str, Any]) -> str:
    """`head` as YAML: keys whose values are those of `lines` as they stand there, the others written anew.

    Of a list the entries that it had before stay as they stand, with their comments.
    """
    written = _dumped(head)
    before, parts, behind = _parts(lines)
    texts = []
    for key, value in head.items():
        above, text = parts.get(key, ("", ""))
        texts.append(above + _changed(text, key, value))
    whole = before + "".join(texts) + behind
    # a head with anchors, or of a style that cannot be cut into keys, is written anew as a whole
    return whole if _same(whole, written) else written


def _changed(text: str, key: str, value: Any) -> str:
    """The lines of one key with this value."""
    anew = _dumped({key: value})
    if _same(text, anew):
        return text
    longer = _list_of(text, value) if isinstance(value, list) else None
    return longer if longer is not None and _same(longer, anew) else anew


def _list_of(text: str, values: Sequence[Any]) -> str | None:
    """The lines of a key whose list has become `values`; None where it was no list. What comes out is checked."""
    node = _composed(text)
    items = node.value[0][1] if node is not None else None
    if not isinstance(items, yaml.SequenceNode) or not items.value:
        return None
    (old,) = yaml.safe_load(text).values()
    if items.flow_style:
        end = items.value[-1].end_mark.index
        return text[:end] + "".join(f", {json.dumps(value)}" for value in values[len(old) :]) + text[end:]
    first, pieces, behind = _pieces(text, (item.start_mark.line for item in items.value))
    indent = " " * items.start_mark.column
    places = [next((i for i, was in enumerate(old) if was == value), None) for value in values]
    gone = [pieces[i][0] for i in range(len(pieces)) if i not in places]  # comments above entries that are replaced
    found = [first]
    for value, at in zip(values, places, strict=True):
        kept = pieces[at] if at is not None else (gone.pop(0) if gone else "", _indented(_dumped([value]), indent))
        found += kept
    return "".join([*found, *gone, behind])


def _parts(lines: str) -> tuple[str, dict[str, tuple[str, str]], str]:
    """(what stands before the first key, key -> (comments above it, its own lines), what stands behind the last)."""
    node = _composed(lines)
    if node is None or node.flow_style:
        return "", {}, ""
    before, pieces, behind = _pieces(lines, (key.start_mark.line for key, _ in node.value))
    return before, {key.value: piece for (key, _), piece in zip(node.value, pieces, strict=True)}, behind


def _pieces(text: str, starts: Iterable[int]) -> tuple[str, list[tuple[str, str]], str]:
    """(what stands before the first, (comments above it, its own lines) of each, what stands behind the last)."""
    rows = [line + "\n" for line in text.removesuffix("\n").split("\n")]
    begin = list(starts)
    pieces: list[tuple[str, str]] = []
    above = ""
    for start, stop in zip(begin, [*begin[1:], len(rows)], strict=True):
        last = stop
        while last > start + 1 and rows[last - 1].split("#")[0].strip() == "":
            last -= 1
        pieces.append((above, "".join(rows[start:last])))
        above = "".join(rows[last:stop])
    return "".join(rows[: begin[0]]) if begin else "", pieces, above if above.strip() else ""


def _composed(text: str) -> yaml.MappingNode | None:
    """The mapping as nodes; None where it is none, or refers to something outside."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader) if text.strip() else None
    except yaml.YAMLError:
        return None
    return node if isinstance(node, yaml.MappingNode) else None


def _indented(text: str, indent: str) -> str:
    return "".join(indent + line if line.strip() else line for line in text.splitlines(keepends=True))


def _dumped(head: Any) -> str:
    plain = dict(head) if isinstance(head, Mapping) else head
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)


def _same(one: str, other: str) -> bool:
    try:
        return bool(yaml.safe_load(one) == yaml.safe_load(other))
    except yaml.YAMLError:
        return False
