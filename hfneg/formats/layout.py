"""Where in a mined dataset the anchor, its positives, its negatives and their scores are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import pyarrow as pa
from datasets import Dataset, IterableDataset

from hfneg.base.columns import (
    NEGATIVE_IDS,
    NEGATIVE_SCORES,
    NEGATIVE_TEACHER_SCORES,
    NEGATIVES,
    OURS,
    POSITIVE_SCORES,
    POSITIVE_TEACHER_SCORES,
    require,
    roles_in,
)
from hfneg.data.layouts import names
from hfneg.errors import ColumnError, EmptyInputError, SettingError, near_miss

Positives = Literal["all", "first"]
Scores = Literal["teacher", "retriever"]

SCORE_COLUMNS: dict[Scores, tuple[str, str]] = {
    "teacher": (POSITIVE_TEACHER_SCORES, NEGATIVE_TEACHER_SCORES),
    "retriever": (POSITIVE_SCORES, NEGATIVE_SCORES),
}
WAYS_TO_SCORES: dict[Scores, str] = {
    "teacher": "mine with teacher=..., which scores positives and negatives, or pass scores='retriever'",
    "retriever": "mine with a retriever that scores positives, or pass scores='teacher' where there is one",
}
# The trainers' collators take these as labels or for themselves, whatever they hold.
RESERVED = (*names.TRAINER_LABELS, "dataset_name", "return_loss")

Kind = Literal["one", "many", "other"]


@dataclass(frozen=True)
class TrainerLayout:
    """The names of the columns to read; a name that is None is not read.

    `positive` may hold one text or a list of texts; `first` keeps only the first of a list.
    """

    anchor: str
    positive: str
    negatives: str = NEGATIVES
    positive_scores: str | None = None
    negative_scores: str | None = None
    anchor_id: str | None = None
    positive_id: str | None = None
    negative_id: str | None = None
    first: bool = False

    @property
    def columns(self) -> list[str]:
        """Every column that is read, each once."""
        names = (
            self.anchor,
            self.positive,
            self.negatives,
            self.positive_scores,
            self.negative_scores,
            self.anchor_id,
            self.positive_id,
            self.negative_id,
        )
        return list(dict.fromkeys(name for name in names if name is not None))


class Kinds(dict[str, Kind]):
    """Column name -> its kind, in order. `roles`: which columns the dataset's info says are anchor and positive."""

    roles: Mapping[str, str] = MappingProxyType({})


def column_kinds(ds: Dataset | IterableDataset) -> Kinds:
    """Column name -> one scalar ("one"), a list of scalars ("many") or anything else, in order.

    A stream that does not know its features is asked for its first row.
    """
    if ds.features is not None:
        kinds = Kinds({field.name: _kind_of_type(field.type) for field in ds.features.arrow_schema})
    else:
        first = next(iter(ds.take(1)), None)
        if first is None:
            raise EmptyInputError("the stream has no rows, so there is nothing to put into a training format")
        kinds = Kinds({name: _kind_of_value(value) for name, value in first.items()})
    kinds.roles = roles_in(ds)
    return kinds


def _kind_of_type(kind: pa.DataType) -> Kind:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return "many" if _kind_of_type(kind.value_type) == "one" else "other"
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return "one" if texts or numbers or pa.types.is_null(kind) else "other"


def _kind_of_value(value: Any) -> Kind:
    if isinstance(value, list):
        return "many" if all(_kind_of_value(item) == "one" for item in value) else "other"
    return "one" if value is None or isinstance(value, str | int | float) else "other"


def text_columns(kinds: Mapping[str, Kind], anchor: str | None, positive: str | None) -> tuple[str, str]:
    """The anchor's and the positive's column: as given, as the info of what `mine` has written says, or the only two
    that are neither ours nor ids."""
    for name, role in ((anchor, "anchor"), (positive, "positive")):
        if name is not None:
            require(name, kinds, role)
    found = _given_or_only(kinds, anchor, positive)
    for name, role in zip(found, ("anchor", "positive"), strict=True):
        _check_text_column(name, role, kinds[name])
    return found


def _given_or_only(kinds: Mapping[str, Kind], anchor: str | None, positive: str | None) -> tuple[str, str]:
    if anchor is not None and anchor == positive:
        raise ColumnError(f"anchor= and positive= both name the column {anchor!r}; they must differ")
    said = {role: name for role, name in getattr(kinds, "roles", {}).items() if name in kinds}
    anchor = anchor or next((name for role, name in said.items() if role == "anchor" and name != positive), None)
    positive = positive or next((name for role, name in said.items() if role == "positive" and name != anchor), None)
    theirs = [name for name in kinds if name not in OURS and not names.is_id(name) and not names.is_negative(name)]
    left = [name for name in theirs if name not in (anchor, positive)]
    if len(left) != (anchor, positive).count(None) and None in (anchor, positive):
        raise ColumnError(
            "which columns hold the anchor and the positive? Besides hfneg's own and ids there are "
            f"{len(theirs)} ({_listed(theirs)}), not two, and nothing says which these are (what hfneg.mine has "
            f"written does); pass {_to_type(theirs, anchor, positive)}"
        )
    rest = iter(left)
    return (next(rest) if anchor is None else anchor), (next(rest) if positive is None else positive)


def _to_type(there: list[str], anchor: str | None, positive: str | None) -> str:
    """The two arguments, with the columns that they may be meant for by their usual names."""
    anchor = anchor or names.one_of(there, names.ANCHORS)
    positive = positive or names.one_of([name for name in there if name != anchor], names.POSITIVES)
    said = {"anchor": anchor, "positive": positive}
    return " and ".join(f"{role}={name!r}" if name else f"{role}=..." for role, name in said.items())


def _check_text_column(name: str, role: str, kind: Kind) -> None:
    if name in RESERVED:
        raise ColumnError(
            f"the {role} column is named {name!r}, which sentence-transformers would take as a label or for "
            f"itself; rename it, e.g. ds.rename_column({name!r}, {role!r})"
        )
    if kind == "other" or (role == "anchor" and kind == "many"):
        wanted = "one text a row" if role == "anchor" else "one text or a list of texts a row"
        raise ColumnError(f"the {role} column {name!r} does not hold {wanted}; choose another with {role}=...")


def require_mined(kinds: Mapping[str, Kind], column: str) -> None:
    """Raise unless the mined list column is there."""
    if column not in kinds:
        raise ColumnError(
            f"there is no column {column!r}, so this dataset was not mined (or its negatives were removed): "
            "run hfneg.mine(...) or .map(hfneg.Select(...)) first; the columns are "
            f"{_listed(kinds)}.{near_miss(column, kinds)}"
        )
    if kinds[column] != "many":
        raise ColumnError(f"the column {column!r} should hold a list of texts in every row")


def score_columns(kinds: Mapping[str, Kind], scores: Scores | None) -> tuple[str, str]:
    """The columns of the positives' and the negatives' scores; None takes the teacher's where they exist."""
    if scores is not None and scores not in SCORE_COLUMNS:
        raise SettingError(f"scores={scores!r} is not one of 'teacher', 'retriever' or None (the teacher's, if any)")
    found = available_scores(kinds)
    if scores is None and found:
        return SCORE_COLUMNS[found[0]]
    if scores in found:
        return SCORE_COLUMNS[scores]
    wanted = scores if scores is not None else "retriever"
    missing = [name for name in SCORE_COLUMNS[wanted] if name not in kinds]
    raise ColumnError(
        f"this format needs scores, and there is no column {_listed(missing)}: {WAYS_TO_SCORES[wanted]}; "
        f"the columns are {_listed(kinds)}"
    )


def available_scores(kinds: Mapping[str, Kind]) -> list[Scores]:
    """Which scores both the positives and the negatives have, the teacher's first."""
    return [name for name, pair in SCORE_COLUMNS.items() if all(column in kinds for column in pair)]


def id_columns(
    kinds: Mapping[str, Kind], anchor_id: str | None, positive_id: str | None
) -> tuple[str | None, str | None]:
    """The id columns as given, or by their usual names; None where there is none."""
    for name, role in ((anchor_id, "anchor's id"), (positive_id, "positive's id")):
        if name is not None:
            require(name, kinds, role)
    return (
        anchor_id or names.one_of(kinds, names.ANCHOR_IDS),
        positive_id or names.one_of(kinds, names.OWN_POSITIVE_IDS),
    )


def ids_layout(kinds: Mapping[str, Kind], anchor_id: str | None, positive_id: str | None, first: bool) -> TrainerLayout:
    """The layout of ids alone; texts need not be there."""
    require_mined(kinds, NEGATIVE_IDS)
    anchor, positive = id_columns(kinds, anchor_id, positive_id)
    for found, option in ((anchor, "anchor_id"), (positive, "positive_id")):
        if found is None:
            raise ColumnError(
                f"there is no column of ids to take as {option}; pass {option}=... or add one; "
                f"the columns are {_listed(kinds)}"
            )
    return TrainerLayout(str(anchor), str(positive), NEGATIVE_IDS, first=first)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "none"
