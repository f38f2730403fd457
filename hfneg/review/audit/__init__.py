"""Is this dataset fit to train on? Checks of anybody's anchors, positives and negatives.

Two passes over the rows, in bounded memory: hashes of all texts first (`facts`), then the texts themselves for
near-duplicates and examples (`looking`). Each check is one function over flat arrays (`checks`); the result is
data (`report`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hfneg.base import store
from hfneg.base.arrays import Mask
from hfneg.base.settings import is_number
from hfneg.data import judgments, layouts
from hfneg.data.layouts import Given, Layout
from hfneg.errors import EmptyInputError, SettingError
from hfneg.review import hardness
from hfneg.review.audit import checks, difficulty, fixing, looking, measures, truth
from hfneg.review.audit.checks import Check
from hfneg.review.audit.facts import Facts, Reader
from hfneg.review.audit.findings import SHOWN, AuditReport, Example, Finding
from hfneg.review.audit.looking import Look, RowTexts
from hfneg.review.audit.opening import AuditedRows, open_source

__all__ = ["AuditReport", "audit"]

Found = list[tuple[Check, Mask]]


@store.disk_full_is_said()
def audit(
    dataset: Any,
    *,
    anchor: str | None = None,
    positive: str | None = None,
    negative: str | Sequence[str] | None = None,
    split: str | None = None,
    columns: Sequence[str] | None = None,
    against: Any = None,
    against_split: str | None = None,
    qrels: Any = None,
    qrels_split: str | None = None,
    reference: Any = None,
    near_duplicate: float | None = 0.9,
    contained: float | None = 0.95,
    max_rate: float = 0.0,
    max_false_negatives: float | None = None,
    fix: str | Path | None = None,
    emptied: fixing.Emptied = "drop",
    overwrite: bool = False,
) -> AuditReport:
    """Look for leaks, duplicates, contamination, artefacts and, with judgments, false negatives.

    Args:
        dataset: a Dataset, a split of a DatasetDict, an IterableDataset (read twice, or thrice with `fix`), a
            mined folder, a file or a Hub id, in any layout of `hfneg.data.layouts`.
        anchor, positive, negative: columns, where they are not recognised; `negative` may be several.
        split: of a dataset with several.
        columns: names for the columns of a CSV or TSV file whose first line does not name them.
        against: a test set, as pairs of any kind or a BEIR folder; `against_split` its split.
        qrels: judgments (see `hfneg.data.judgments.read`); gives `false_negatives`; a negative that they call
            relevant is an error, and `fix` removes it.
        reference: a SentenceTransformer (name, folder or object) that is neither the miner nor the teacher;
            gives `hardness`.
        near_duplicate, contained: as in `hfneg.Guard`; None: not asked.
        max_rate: the share up to which what an error check finds is tolerated.
        max_false_negatives: the rate of false negatives that is tolerated, in place of `max_rate`; needs `qrels`.
        fix: a parquet file to write: a copy without what the checks marked `fixable` found.
        emptied: "drop" or "keep" rows that `fix` leaves without negatives.
        overwrite: replace the file `fix`.

    Raises:
        ColumnError: a column is missing, of the wrong kind, or no layout fits; the columns are listed.
        InputError, EmptyInputError: nothing that can be audited; judgments of other data.
        SettingError: a value that makes no sense.
        OutputExistsError: `fix` is there.
    """
    _check_settings(near_duplicate, contained, max_rate, max_false_negatives, qrels)
    source = open_source(dataset, split, columns)
    layout = _layout(source, anchor, positive, negative)
    target = None if fix is None else fixing.check_target(fix, layout, emptied)
    encoder = None if reference is None else hardness.reference(reference, source.recipe)
    judged = None if qrels is None else judgments.read(qrels, qrels_split)
    with store.scratch_folder() as scratch:
        facts = Reader(layout, scratch, with_ids=qrels is not None).read(source.tables(layout.columns))
        if not facts.rows:
            raise EmptyInputError(f"{source.name} has no rows; there is nothing to audit")
        test = () if against is None else checks.against(truth.load_test_set(facts, against, against_split))
        truly = None if judged is None else truth.judge(facts, judged)
        rate, counted = (None, ~facts.empty_negative) if truly is None else (truly.rate, truly.irrelevant)
        told = () if truly is None else checks.judged(truly.relevant)
        rows = np.empty(0, dtype=np.int64) if encoder is None else difficulty.sample(facts, counted)
        kept, found = _look(source, layout, facts, (*checks.CHECKS, *told, *test), rows, (near_duplicate, contained))
        known = rate is not None
        hard = None if encoder is None else difficulty.measure(encoder, facts, rows, kept, counted, known)
        removed = None
        if target is not None:
            plan = fixing.plan(facts, layout, found, emptied)
            removed = fixing.write(source, layout, facts, plan, target, overwrite)
        return AuditReport(
            **_counts(source, layout, facts),
            findings=tuple(_finding(check, mask, facts, kept) for check, mask in found),
            measures=tuple(measures.measures(facts)),
            false_negatives=rate,
            hardness=hard,
            removed=removed,
            max_rate=max_rate,
            max_false_negatives=max_false_negatives,
        )


def _check_settings(
    near: float | None, contained: float | None, max_rate: float, limit: float | None, qrels: Any
) -> None:
    for name, value in (("near_duplicate", near), ("contained", contained)):
        if value is not None and not (is_number(value) and 0.5 <= value <= 1.0):
            raise SettingError(f"{name}={value!r} must be None or a share from 0.5 to 1.0")
    for name, value in (("max_rate", max_rate), ("max_false_negatives", limit)):
        if value is not None and not (is_number(value) and 0.0 <= value <= 1.0):
            raise SettingError(f"{name}={value!r} must be a share from 0.0 to 1.0")
    if limit is not None and qrels is None:
        raise SettingError("max_false_negatives needs judgments: qrels=... (a BEIR folder, a qrels file or a mapping)")


def _layout(
    source: AuditedRows, anchor: str | None, positive: str | None, negative: str | Sequence[str] | None
) -> Layout:
    negatives = (negative,) if isinstance(negative, str) else tuple(negative or ())
    given = Given(anchor or source.anchor, positive or source.positive, negatives)
    return layouts.recognise(source.features.arrow_schema, given)


def _look(
    source: AuditedRows,
    layout: Layout,
    facts: Facts,
    wanted: Sequence[Check],
    rows: Any,
    shares: tuple[float | None, float | None],
) -> tuple[Mapping[int, RowTexts], Found]:
    """(the texts of `rows` and of those to show, what every check found)."""
    first = [check.find(facts) for check in wanted]
    shown = [_positions(check, mask, facts)[0] for check, mask in zip(wanted, first, strict=True)]
    look = Look(layout, facts, np.unique(np.concatenate([rows, *shown])), *shares)
    look.at(source.tables(layout.columns))
    # those that ask for more than equality
    new = ("near_positive", "positive_without_title", "contained", "anchor_as_negative")
    found = [mask if check.name not in new else check.find(facts) for check, mask in zip(wanted, first, strict=True)]
    return look.kept, list(zip(wanted, found, strict=True))


def _positions(check: Check, mask: Mask, facts: Facts) -> tuple[Any, Any]:
    """(rows, places in them) of the first find in each of the first rows; the place -1 stands for the row itself."""
    first = np.flatnonzero(mask)
    if check.unit == "rows":
        return first[: looking.SHOWN], np.full(min(len(first), looking.SHOWN), -1)
    rows, one = np.unique(np.searchsorted(facts.negatives.indptr, first, "right") - 1, return_index=True)
    rows, one = rows[: looking.SHOWN], one[: looking.SHOWN]
    return rows, first[one] - facts.negatives.indptr[rows]


def _finding(check: Check, mask: Mask, facts: Facts, kept: Mapping[int, RowTexts]) -> Finding:
    rows = mask if check.unit == "rows" else checks.rows_with(facts.owners()[mask], facts.rows)
    examples = []
    for row, place in zip(*(values.tolist() for values in _positions(check, mask, facts)), strict=True):
        if row in kept:
            texts = kept[row]
            text = texts.negatives[place] if place >= 0 else next(iter(texts.positives), "")
            examples.append(Example(row, texts.anchor[:SHOWN], text[:SHOWN]))
    return Finding(
        name=check.name,
        meaning=check.meaning,
        severity=check.severity,
        unit=check.unit,
        count=int(np.count_nonzero(mask)),
        total=len(mask),
        rows=int(np.count_nonzero(rows)),
        fixable=check.removed is not None,
        examples=tuple(examples),
    )


def _counts(source: AuditedRows, layout: Layout, facts: Facts) -> dict[str, Any]:
    return {
        "dataset": source.name,
        "layout": layout.name,
        "columns": layout.roles,
        "rows": facts.rows,
        "anchors": len(np.unique(facts.anchors)),
        "positives": len(facts.positives.flat),
        "negatives": len(facts.negatives.flat),
        "negatives_per_row": measures.per_row(facts),
        "sources": facts.sources,
    }
