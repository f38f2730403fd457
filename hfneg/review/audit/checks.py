"""What can be wrong with a row or a negative: one short function per check, over the arrays of `Facts`.

A check answers with a mask over negatives or over rows. None of them knows of layouts, streams or files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hfneg.base.arrays import Ints, Mask
from hfneg.review.audit.facts import Facts, among
from hfneg.review.audit.findings import FALSE_NEGATIVES

Severity = Literal["error", "warning", "info"]
Unit = Literal["negatives", "rows"]
BLOCK = 50_000


@dataclass(frozen=True)
class TestSet:
    """Numbers of the training texts that a test set has as anchors and as positives, ascending."""

    __test__ = False  # no test of pytest's

    anchors: Ints
    positives: Ints


@dataclass(frozen=True)
class Check:
    """One check. `removed`: what ``fix`` takes away, the negatives or whole rows; None: it only tells."""

    name: str
    unit: Unit
    severity: Severity
    removed: Unit | None
    meaning: str
    find: Callable[[Facts], Mask]


def positive_as_negative(facts: Facts) -> Mask:
    """Equal, after normal form, to a positive of the same anchor in any row."""
    keys = facts.keys(facts.anchors[facts.owners()], facts.negatives.flat)
    return among(keys, facts.known_keys()) & ~facts.empty_negative


def near_positive(facts: Facts) -> Mask:
    """But for what was given as a negative: somebody has looked at it."""
    return facts.near_positive & ~facts.given


def positive_without_title(facts: Facts) -> Mask:
    """Filled by the second pass."""
    return facts.titled


def ids_as_positives(facts: Facts) -> Mask:
    """Where most positives look like ids, and most negatives do not: the rows whose positives all do."""
    there, negatives = ~facts.empty_positive, ~facts.empty_negative
    if facts.id_like_positive[there].sum() * 2 <= there.sum() or not negatives.any():
        return np.zeros(facts.rows, dtype=bool)
    if facts.id_like_negative[negatives].sum() * 2 > negatives.sum():
        return np.zeros(facts.rows, dtype=bool)
    texts = rows_with(facts.positives.owners[there & ~facts.id_like_positive], facts.rows)
    return rows_with(facts.positives.owners[there], facts.rows) & ~texts


def contained(facts: Facts) -> Mask:
    """Filled by the second pass; but for what was given as a negative."""
    return facts.contained & ~facts.given


def anchor_as_negative(facts: Facts) -> Mask:
    """Equal or nearly equal to the anchor."""
    return same_as_anchor(facts) | facts.near_anchor


def same_as_anchor(facts: Facts) -> Mask:
    """Equal to the anchor after normal form."""
    same: Mask = (facts.negatives.flat == facts.anchors[facts.owners()]) & ~facts.empty_negative
    return same


def repeated_negative(facts: Facts) -> Mask:
    """All but the first of a row's negatives with one normal form."""
    texts, indptr = facts.negatives.flat, facts.negatives.indptr
    again = np.zeros(len(texts), dtype=bool)
    for start in range(0, facts.rows, BLOCK):
        span = slice(indptr[start], indptr[min(start + BLOCK, facts.rows)])
        rows = np.searchsorted(indptr, np.arange(span.start, span.stop), "right")
        keys = facts.keys(rows, texts[span])
        order = np.argsort(keys, kind="stable")  # equal ones stay in their order
        again[span.start + order[1:]] = keys[order[1:]] == keys[order[:-1]]
    return again & ~facts.empty_negative


def empty_negative(facts: Facts) -> Mask:
    return facts.empty_negative


def non_finite_scores(facts: Facts) -> Mask:
    return facts.bad


def negative_above_positive(facts: Facts) -> Mask:
    return facts.above


def empty_text(facts: Facts) -> Mask:
    """The anchor or one of the positives is empty."""
    return facts.empty_anchor | rows_with(facts.positives.owners[facts.empty_positive], facts.rows)


def non_finite_positive_scores(facts: Facts) -> Mask:
    return facts.bad_positive


def misaligned_lists(facts: Facts) -> Mask:
    return ~facts.whole


def duplicate_rows(facts: Facts) -> Mask:
    return facts.repeated


def anchor_as_positive(facts: Facts) -> Mask:
    owners = facts.positives.owners
    same = (facts.positives.flat == facts.anchors[owners]) & ~facts.empty_positive
    return rows_with(owners[same], facts.rows)


def no_positive(facts: Facts) -> Mask:
    """No row of this anchor has a positive."""
    with_one = np.unique(facts.anchors[facts.positives.owners[~facts.empty_positive]])
    return ~among(facts.anchors, with_one) & ~facts.empty_anchor


def rows_with(owners: Ints, rows: int) -> Mask:
    """bool [rows]: those named in `owners`."""
    found = np.zeros(rows, dtype=bool)
    found[owners] = True
    return found


CHECKS = (
    Check(
        "positive_as_negative",
        "negatives",
        "error",
        "negatives",
        "is a positive of the same anchor, in this row or another (but for case, white space, Unicode form)",
        positive_as_negative,
    ),
    Check(
        "near_positive",
        "negatives",
        "error",
        "negatives",
        "is a near-duplicate of a positive of the same anchor",
        near_positive,
    ),
    Check(
        "positive_without_title",
        "negatives",
        "error",
        "negatives",
        "is a positive of the same anchor, but for a title before one of them",
        positive_without_title,
    ),
    Check(
        "contained",
        "negatives",
        "error",
        "negatives",
        "contains a positive of the same anchor, or lies inside one",
        contained,
    ),
    Check(
        "anchor_as_negative",
        "negatives",
        "error",
        "negatives",
        "is the anchor's own text, or a near-duplicate of it",
        anchor_as_negative,
    ),
    Check("empty_negative", "negatives", "error", "negatives", "is missing, or only white space", empty_negative),
    Check(
        "non_finite_scores", "negatives", "error", "negatives", "has a score that is NaN or infinite", non_finite_scores
    ),
    Check(
        "repeated_negative",
        "negatives",
        "warning",
        "negatives",
        "is there more than once in its row",
        repeated_negative,
    ),
    Check(
        "negative_above_positive",
        "negatives",
        "info",
        None,
        "has a higher score than every positive of its row",
        negative_above_positive,
    ),
    Check(
        "empty_text", "rows", "error", "rows", "the anchor or a positive is missing, or only white space", empty_text
    ),
    Check(
        "non_finite_positive_scores",
        "rows",
        "error",
        "rows",
        "a positive has a score that is NaN or infinite",
        non_finite_positive_scores,
    ),
    Check(
        "misaligned_lists",
        "rows",
        "error",
        "rows",
        "a list of scores, ids, labels or sources is not as long as the texts it belongs to",
        misaligned_lists,
    ),
    Check(
        "duplicate_rows",
        "rows",
        "warning",
        "rows",
        "an earlier row has the same anchor, positives and negatives",
        duplicate_rows,
    ),
    Check(
        "ids_as_positives",
        "rows",
        "error",
        None,
        "the positives look like ids, the negatives are texts: were ids of the corpus read as texts?",
        ids_as_positives,
    ),
    Check("anchor_as_positive", "rows", "warning", None, "a positive is the anchor's own text", anchor_as_positive),
    Check("no_positive", "rows", "warning", None, "no row has a positive for this anchor", no_positive),
)


def judged(relevant: Mask) -> tuple[Check, ...]:
    """The check that needs judgments: bool [negatives], those that they call relevant to their anchor."""
    meaning = "is relevant to its anchor, by the judgments"
    return (Check(FALSE_NEGATIVES, "negatives", "error", "negatives", meaning, lambda facts: relevant),)


def against(test: TestSet) -> tuple[Check, ...]:
    """The checks that need a test set."""

    def anchor(facts: Facts) -> Mask:
        positives = among(facts.positives.flat, test.anchors) & ~facts.empty_positive
        found = among(facts.anchors, test.anchors) & ~facts.empty_anchor
        return found | rows_with(facts.positives.owners[positives], facts.rows)

    def positive(facts: Facts) -> Mask:
        known = among(facts.positives.flat, test.positives) & ~facts.empty_positive
        return rows_with(facts.positives.owners[known], facts.rows)

    def negative(facts: Facts) -> Mask:
        return among(facts.negatives.flat, test.positives) & ~facts.empty_negative

    return (
        Check("test_anchor", "rows", "error", "rows", "the anchor or a positive is an anchor of the test set", anchor),
        Check("test_positive", "rows", "warning", None, "a positive is a positive of the test set", positive),
        Check("test_negative", "negatives", "info", None, "is a positive of the test set", negative),
    )
