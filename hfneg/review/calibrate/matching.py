"""Judgments matched with the pairs of a mined folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hfneg.base.arrays import Ints, Numbers
from hfneg.base.hashing import hash_normal_forms
from hfneg.data.anchors import Anchors
from hfneg.data.judgments import Judgments, Texts, relevant
from hfneg.data.layouts import names as usual
from hfneg.errors import InputError
from hfneg.review.calibrate.frame import Frame
from hfneg.runs.folder import mined as mined_folder
from hfneg.runs.folder.ledger_files import MinedLedger

SHOWN = 60  # characters of a text in a message
ID_COLUMNS = (*usual.ANCHOR_IDS, "_id", "id")


@dataclass(frozen=True)
class Judged:
    """What is known of the n pairs of a frame.

    Attributes:
        labels: float64 [n]: 1 relevant, 0 not, NaN not judged.
        whole_anchors: the judgments name the relevant of some anchors, and what they do not name counts as not.
        warnings: what did not fit.
    """

    labels: Numbers
    whole_anchors: bool
    warnings: tuple[str, ...] = ()


class Names:
    """From ids and texts of anchors to their numbers."""

    def __init__(self, ledger: MinedLedger, anchors: Anchors) -> None:
        self.anchors = anchors
        self._order = np.argsort(np.asarray(anchors.normal_hashes), kind="stable")
        self._hashes = np.asarray(anchors.normal_hashes)[self._order]
        self._ids = self._read_ids(ledger)

    def _read_ids(self, ledger: MinedLedger) -> dict[str, int]:
        """By the rows' own column of ids, where there is one; else an anchor's id is its number."""
        found: dict[str, int] = {}
        taken = set(ledger.summary["columns"].values())
        for split in mined_folder.open_rows(ledger.folder, several=True).values():
            name = usual.one_of([name for name in split.column_names if name not in taken], ID_COLUMNS)
            if name is None:
                continue
            for batch in split.select_columns([name, self.anchors.anchor]).with_format("arrow").iter(10_000):
                numbers = self.of_texts(batch[self.anchors.anchor].to_pylist())
                for key, number in zip(batch[name].to_pylist(), numbers.tolist(), strict=True):
                    found.setdefault(str(key), number)
        return found or {str(number): number for number in range(len(self.anchors))}

    def ids(self) -> dict[int, str]:
        """Number -> the first id that means it."""
        return {number: name for name, number in reversed(self._ids.items())}

    def of_texts(self, texts: Texts) -> Ints:
        """int64: the anchor of this text (white space and case aside), -1 where there is none."""
        hashes = hash_normal_forms([text or "" for text in texts])
        at = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        known = (self._hashes[at] == hashes) & np.array([bool(text) for text in texts], dtype=bool)
        numbers: Ints = np.where(known, self._order[at], -1)
        return numbers

    def of_ids(self, ids: Texts) -> Ints:
        """int64: the anchor of this id, -1 where there is none."""
        return np.array([self._ids.get(name, -1) if name is not None else -1 for name in ids], dtype=np.int64)


def match(frame: Frame, names: Names, given: Judgments, least: float | None, complete: bool | None) -> Judged:
    """The judgments that are of pairs of the frame.

    Args:
        least: the least grade that counts as relevant; see `hfneg.data.judgments.relevant`.
        complete: what is not named for a judged anchor is not relevant; None: so for qrels that name only relevant.

    Raises InputError where none of them is.
    """
    labels = np.array(relevant(given.relevance, least), dtype=np.float64)
    numbers = names.of_texts(given.anchors)
    numbers = np.where(numbers >= 0, numbers, names.of_ids(given.anchor_ids))
    rows = _documents(names.anchors, given)
    said = ~np.isnan(labels)
    if not said.any():
        raise InputError(
            f"the judgments have {len(said):,} pairs, and what says whether they are relevant is empty in all of them: "
            "fill in the column relevance with 0 or 1"
        )
    whole = given.listed_only_relevant if complete is None else complete
    warnings = []
    if not said.all():
        warnings.append(f"{int((~said).sum()):,} of {len(said):,} judgments are empty and were left out")
    found, disagree = _labels(frame, numbers, rows, labels, said & (numbers >= 0) & (rows >= 0))
    if disagree:
        warnings.append(f"{disagree:,} pairs were judged several times, not alike: the majority counts, a tie as yes")
    if whole:
        judged = np.unique(numbers[said & (numbers >= 0)])
        found[np.isnan(found) & np.isin(frame.numbers, judged)] = 0.0
        warnings.append(
            f"the judgments of {len(judged):,} anchors are taken as complete: what they do not name is not relevant; "
            "where they are not complete the rate is too low"
        )
    _refuse_other(found, numbers, rows, given)
    lost = int(((numbers < 0) | (rows < 0)).sum())
    if lost and not whole:
        warnings.append(f"{lost:,} of {len(said):,} judged pairs have an anchor or document that is not in the folder")
    return Judged(found, whole, tuple(warnings))


def _documents(anchors: Anchors, given: Judgments) -> Ints:
    """Rows of the documents, by id where that is known, else by text."""
    rows = np.full(len(given.documents), -1, dtype=np.int64)
    for values, look_up in (
        (given.document_ids, anchors.corpus.rows_of_ids),
        (given.documents, anchors.corpus.rows_of_texts),
    ):
        left = np.array([i for i, value in enumerate(values) if rows[i] < 0 and value is not None], dtype=np.int64)
        if len(left):
            rows[left] = look_up([values[i] or "" for i in left])
    return rows


def _labels(frame: Frame, numbers: Ints, rows: Ints, labels: Numbers, good: Any) -> tuple[Numbers, int]:
    """(label of each pair of the frame, how many were judged both ways)."""
    at = frame.find(numbers[good], rows[good])
    here = at >= 0
    times = np.bincount(at[here], minlength=len(frame.numbers))
    yes = np.bincount(at[here], weights=labels[good][here], minlength=len(frame.numbers))
    found = np.full(len(frame.numbers), np.nan)
    found[times > 0] = yes[times > 0] >= times[times > 0] / 2
    return found, int(((yes > 0) & (yes < times)).sum())


def _refuse_other(found: Numbers, numbers: Ints, rows: Ints, given: Judgments) -> None:
    if not np.isnan(found).all():
        return
    known, documents = int((numbers >= 0).sum()), int((rows >= 0).sum())
    pair = (given.anchors[0] or given.anchor_ids[0], given.documents[0] or given.document_ids[0]) if len(rows) else ()
    first = tuple(None if text is None else text[:SHOWN] for text in pair)
    raise InputError(
        f"none of the {len(numbers):,} judged pairs was mined here: {known:,} of their anchors and {documents:,} of "
        f"their documents are in the folder (first pair: {first}). Judge pairs of this folder (sample=N writes them), "
        "by the texts as they are in it, or by ids (query_id of the rows, _id of the corpus)"
    )
