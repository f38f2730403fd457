"""How hard the negatives of a dataset are for a model that had no part in choosing them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hfneg.base.arrays import Ints, Mask
from hfneg.base.hashing import mix
from hfneg.base.lists import Lists, offsets
from hfneg.models.encoder import Encoder
from hfneg.models.weights import name_of
from hfneg.review import hardness
from hfneg.review.audit.facts import Facts
from hfneg.review.audit.looking import KnownTexts, RowTexts
from hfneg.review.audit.truth import components_of
from hfneg.review.hardness import ANCHORS, NEGATIVES, POSITIVES, Hardness


def sample(facts: Facts, counted: Mask) -> Ints:
    """Rows to measure on, ascending: one each of up to ANCHORS anchors that have a positive and a counted negative.

    Drawn by a counter over row numbers: the same for a stream and for a Dataset.
    """
    known = KnownTexts.of(facts)
    rows = np.unique(facts.owners()[counted])
    start, end = known.of_anchors(facts, facts.anchors[rows].astype(np.int64))
    rows = rows[end > start]
    rows = rows[np.argsort(mix(0, rows), kind="stable")]
    _, first = np.unique(facts.anchors[rows], return_index=True)
    return np.sort(rows[np.sort(first)[:ANCHORS]])


def measure(
    encoder: Encoder, facts: Facts, rows: Ints, kept: Mapping[int, RowTexts], counted: Mask, truth_known: bool
) -> Hardness | None:
    """The mean over all counted negatives of `rows`, as texts kept of these rows have them; None without any."""
    known = KnownTexts.of(facts)
    anchors = facts.anchors[rows].astype(np.int64)
    starts, ends = known.of_anchors(facts, anchors)
    positives: list[list[str]] = []
    negatives: list[list[str]] = []
    for row, start, end in zip(rows.tolist(), starts, ends, strict=True):
        inside = counted[facts.negatives.indptr[row] : facts.negatives.indptr[row + 1]]
        negatives.append([kept[row].negatives[j] for j in np.flatnonzero(inside)[:NEGATIVES]])
        positives.append(facts.texts.take(known.places[start:end][:POSITIVES]).to_pylist())
    places: dict[str, int] = {}

    def listed(texts: list[list[str]]) -> Lists:
        flat = [places.setdefault(text, len(places)) for row in texts for text in row]
        return Lists(offsets([len(row) for row in texts]), np.array(flat, dtype=np.int64))

    near, far = listed(positives), listed(negatives)
    values = hardness.differences(encoder, [kept[row].anchor for row in rows.tolist()], list(places), near, far)
    of, name = anchors[far.owners], name_of(encoder.model)
    return hardness.told(values, np.ones(len(values)), of, components_of(facts)[of], name, truth_known)
