"""The pairs of a long run: what they are, their splits by name, and all that can be refused before a row is read."""

from __future__ import annotations

import logging
import re
import reprlib
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hfneg.base import columns
from hfneg.data.anchors import Anchors
from hfneg.data.corpus import Corpus
from hfneg.data.files.frames import as_dataset
from hfneg.data.loading import Pairs, load_pairs
from hfneg.errors import ColumnError, EmptyInputError, InputError

log = logging.getLogger(__name__)

NAME = re.compile(r"\w+(\.\w+)*")
"""What `load_dataset` takes as the name of a split; no path can be made of it."""

LONGEST = 100
"""Bytes of a split's name, which becomes a part of the names of files."""


def prepared(
    pairs: Any, anchor: str | None, positive: str | None, hidden: str | None, remine: bool, missing: Any
) -> Pairs:
    """Rows of anchors and positives, of whatever was given; see `hfneg.mine`."""
    if isinstance(pairs, Pairs):
        found = replace(pairs, anchor=anchor or pairs.anchor, positive=positive or pairs.positive)
    elif isinstance(pairs, str | Path):
        found = load_pairs(pairs, anchor=anchor, positive=positive, missing=missing)
    else:
        pairs = as_dataset(pairs, "pairs")
        check_columns(_named(pairs), anchor, positive, hidden, remine)
        found = load_pairs(pairs, anchor=anchor, positive=positive)
    check_columns(_named(found.rows), found.anchor, found.positive, hidden, remine)
    if not isinstance(pairs, Pairs) and None in (anchor, positive):
        log.info("anchors are read from the column %r, positives from %r", found.anchor, found.positive)
    return found


def anchors_of(
    found: Pairs, corpus: Corpus | None, positives_are: Any, missing: Any, given: Any, symmetric: bool
) -> Anchors:
    """The anchors of `found`."""
    return Anchors(
        found.rows,
        corpus,
        anchor=found.anchor,
        positive=found.positive,
        negative=found.negatives or None,
        positives_are=found.positives_are if positives_are == "auto" else positives_are,
        missing=missing,
        given=given,
        symmetric=symmetric or found.symmetric,
        label=False,  # whatever the labels say is in the rows by now
    )


def splits_of(pairs: Any, anchors: Anchors) -> dict[str, Any]:
    """The splits by name, without the rows that the anchors leave out."""
    splits = _named(pairs)
    if anchors.left_out:
        log.warning("%d rows have no positive in the corpus and are left out", anchors.left_out)
        splits = {name: split.filter(anchors.has, batched=True) for name, split in splits.items()}
    for name in splits if len(splits) > 1 else ():
        if not anchors.rows_of_split(name):
            raise EmptyInputError(f"the split {name!r} of the pairs has no rows; leave it out")
    return splits


def _named(pairs: Any) -> dict[str, Any]:
    """The splits by name; what has none is called "train", as `load_dataset` does."""
    splits = dict(pairs) if isinstance(pairs, Mapping) else {"train": pairs}
    _check_names(list(splits))
    for name, split in splits.items():
        if not hasattr(split, "with_format"):
            raise InputError(
                f"pairs ({name}) is {reprlib.repr(split)}, a {type(split).__name__}; expected a Dataset, an "
                "IterableDataset, a DatasetDict, a data frame, a list of rows (dictionaries), or the path or Hub id of "
                "any of them (Dataset.from_dict makes a Dataset of columns)"
            )
        if hasattr(split, "num_rows") and split.num_rows == 0:
            raise EmptyInputError(f"the split {name!r} of the pairs has no rows; leave it out")
    if not splits:
        raise EmptyInputError("the pairs have no split; expected at least one with rows")
    return splits


def _check_names(names: list[Any]) -> None:
    """Each is the beginning of files' names and a split of the dataset that comes out."""
    known: dict[str, str] = {}
    for name in names:
        if not isinstance(name, str) or not NAME.fullmatch(name) or name == "all" or len(name.encode()) > LONGEST:
            better = re.sub(r"\W+", "_", str(name)).strip("_")[: LONGEST // 4]
            better = better if better and better != "all" else "train"
            raise InputError(
                f"a split is called {reprlib.repr(name)}, which load_dataset could not open: a name has letters, "
                f"digits and _, with single dots between them, at most {LONGEST} bytes, and is not 'all'; rename it: "
                f"DatasetDict({{{better!r}: pairs[{reprlib.repr(name)}]}}), or mine it by itself (--split)"
            )
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in known:
            raise InputError(
                f"the splits {known[folded]!r} and {name!r} differ in case only, and so do the files they become, "
                "which are one file on many disks; rename one of them"
            )
        known[folded] = name


def check_columns(
    splits: Mapping[str, Any], anchor: str | None, positive: str | None, hidden: str | None, remine: bool
) -> None:
    """Refuse columns whose names or types are not fit for a run; a role that nobody has named is not looked at."""
    for name, split in splits.items():
        names = _column_names(name, split)
        for column, role in ((anchor, "anchor"), (positive, "positive"), (hidden, "hidden positives")):
            if column is not None:
                columns.require(column, names, role)
        columns.refuse_taken(names, columns.MINED, remine)
        if hidden is not None:
            _check_hidden(split, hidden)
    _refuse_unlike(splits)


def _column_names(name: str, split: Any) -> list[str]:
    """A stream may not know its columns: then those of its first row."""
    if split.column_names is not None:
        return list(split.column_names)
    first = next(iter(split), None)
    if first is None:
        raise EmptyInputError(f"the split {name!r} of the pairs has no rows; leave it out")
    return list(first)


def _check_hidden(split: Any, hidden: str) -> None:
    """Its values are read last of all, so a wrong type is refused by the features."""
    feature = (split.features or {}).get(hidden)
    kind = getattr(getattr(feature, "feature", feature), "dtype", None)
    if feature is not None and not str(kind).startswith(("string", "large_string", "int", "uint", "null")):
        raise ColumnError(
            f"column {hidden!r} (the hidden positives) is {feature}; expected ids or texts, or lists of either: name "
            "another column, or cast it"
        )


def _refuse_unlike(splits: Mapping[str, Any]) -> None:
    """The splits become one dataset, which `load_dataset` opens only where all have the same columns."""
    known = {name: _own_features(split) for name, split in splits.items() if split.features is not None}
    for name, features in known.items():
        first = next(iter(known))
        for column in (*features, *known[first]):
            here, there = (some.get(column, "no column") for some in (features, known[first]))
            if here != there:
                raise ColumnError(
                    f"column {column!r} is {here} in the split {name!r} and {there} in the split {first!r}; all splits "
                    "need the same columns: remove or cast it, or mine each split by itself"
                )


def _own_features(split: Any) -> dict[str, Any]:
    return {column: kind for column, kind in split.features.items() if column not in columns.OURS}
