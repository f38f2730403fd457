"""What kind of values a column holds, and which columns are meant for anchor and positive where nobody said it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import pyarrow as pa

from hfneg.base import columns
from hfneg.data.layouts import names
from hfneg.errors import ColumnError

Kind = Literal["text", "texts", "number", "numbers", "passages", "other"]
Kinds = Mapping[str, Kind]

TEXTUAL = ("text", "texts", "passages")


def kinds_of(schema: pa.Schema) -> dict[str, Kind]:
    """Column -> what it holds, in order."""
    return {field.name: kind_of(field.type) for field in schema}


def kind_of(type: pa.DataType) -> Kind:
    """What a column holds; a column of nulls may be of texts."""
    if pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_null(type):
        return "text"
    if pa.types.is_integer(type) or pa.types.is_floating(type) or pa.types.is_boolean(type):
        return "number"
    if is_list(type):
        if pa.types.is_struct(type.value_type) and type.value_type.get_field_index("text") >= 0:
            return "passages"
        several: dict[Kind, Kind] = {"text": "texts", "number": "numbers"}
        return several.get(kind_of(type.value_type), "other")
    return "other"


def is_list(type: pa.DataType) -> bool:
    """A list of any of Arrow's three kinds."""
    return bool(pa.types.is_list(type) or pa.types.is_large_list(type) or pa.types.is_fixed_size_list(type))


def guess(there: Sequence[str], anchor: str | None = None, positive: str | None = None) -> tuple[str, str]:
    """The anchor and the positive column: as given, by their usual names, or the only two in their order."""
    there = [name for name in there if name not in columns.OURS]
    others = [name for name in there if name not in (anchor, positive)]
    found = anchor or names.one_of(others, names.ANCHORS), positive or names.one_of(others, names.POSITIVES)
    if positive is None and found[0] is not None and found[0] == found[1]:
        found = found[0], names.one_of([name for name in others if name != found[0]], names.POSITIVES)
    if None in found and len(there) == 2:
        found = anchor or others[0], positive or others[-1]
    if found[0] is None or found[1] is None:
        raise ColumnError(
            f"cannot tell which columns hold the anchor and the positive; the columns are {', '.join(there)}: say "
            "anchor='COLUMN' and positive='COLUMN'"
        )
    return found[0], found[1]


def of_texts(kinds: Kinds, anchor: str | None, positive: str | None, others: Iterable[str]) -> tuple[str, str]:
    """The anchor's and the positive's (or the document's) column, among those of texts that are not `others`."""
    texts = [name for name, kind in kinds.items() if kind in TEXTUAL and not names.is_id(name)]
    return guess([name for name in texts if name not in others], anchor, positive)


def of_any(kinds: Kinds, anchor: str | None, positive: str | None) -> tuple[str, str]:
    """The same, where the positives' column may hold ids. Raises ColumnError also for texts with a class."""
    there = list(kinds)
    labels = [name for name in there if names.one_of([name], (*names.LABELS, *names.CLASSES)) is not None]
    if positive is None and len(there) == 2 and len(labels) == 1:
        text = next(name for name in there if name not in labels)
        raise ColumnError(
            f"the columns are {', '.join(map(repr, there))}: texts with a label, and no second text. Where it is the "
            f"class of {text!r}, say --classes (classes=True): then other texts of a class are positives; else name "
            "the columns of anchor and positive, --anchor and --positive"
        )
    try:
        return guess(there, anchor, positive)
    except ColumnError:
        usual = (*names.POSITIVE_IDS, *names.OWN_POSITIVE_IDS, *names.JUDGED_IDS)
        ids = positive or names.one_of([name for name in there if name != anchor], usual)
        found = anchor or names.one_of([name for name in there if name != ids], names.ANCHORS)
        if ids is None or found is None:
            raise
        return found, ids
