"""How hard the negatives are for a model that had no part in choosing them.

A rate of false negatives says nothing alone: trivial negatives have none. The reference must be neither the
miner nor the teacher, for what was chosen by a model's scores looks as that model chose it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hfneg.base.hashing import mix
from hfneg.errors import SettingError
from hfneg.models.encoder import Encoder
from hfneg.models.weights import name_of
from hfneg.review.audit.facts import Facts
from hfneg.review.audit.findings import Hardness
from hfneg.review.audit.looking import Known, RowTexts

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
ANCHORS, POSITIVES, NEGATIVES = 1_000, 8, 32
"""At most so many anchors, known positives of each, and negatives of each are encoded."""


def reference(model: Any, recipe: str) -> Encoder:
    """The encoder. Raises SettingError where the mined folder's recipe names it as retriever or teacher."""
    encoder = model if isinstance(model, Encoder) else Encoder(model)
    name = name_of(encoder.model)
    if isinstance(encoder.model, str) and repr(name) in recipe:
        raise SettingError(
            f"reference={name!r} took part in the mining (see recipe.yaml); hardness is measured by a model that is "
            "neither miner nor teacher: give another"
        )
    return encoder


def sample(facts: Facts, counted: Mask) -> Rows:
    """Rows to measure on, ascending: one each of up to ANCHORS anchors that have a positive and a counted negative.

    Drawn by a counter over row numbers: the same for a stream and for a Dataset.
    """
    known = Known.of(facts)
    rows = np.unique(facts.owners()[counted])
    start, end = known.of_anchors(facts, facts.anchors[rows].astype(np.int64))
    rows = rows[end > start]
    rows = rows[np.argsort(mix(0, rows), kind="stable")]
    _, first = np.unique(facts.anchors[rows], return_index=True)
    return np.sort(rows[np.sort(first)[:ANCHORS]])


def measure(
    encoder: Encoder, facts: Facts, rows: Rows, kept: Mapping[int, RowTexts], counted: Mask, truth_known: bool
) -> Hardness | None:
    """The mean over all counted negatives of `rows`, and its 95% bootstrap over anchors; None without any."""
    known = Known.of(facts)
    sums, counts = np.zeros(len(rows)), np.zeros(len(rows), dtype=np.int64)
    for i, row in enumerate(rows.tolist()):
        inside = counted[facts.negatives.indptr[row] : facts.negatives.indptr[row + 1]]
        negatives = [kept[row].negatives[j] for j in np.flatnonzero(inside)[:NEGATIVES]]
        (start,), (end,) = known.of_anchors(facts, facts.anchors[row : row + 1].astype(np.int64))
        positives = facts.texts.take(known.places[start:end][:POSITIVES]).to_pylist()
        anchor = encoder.encode([kept[row].anchor], "query")[0]
        scores = encoder.encode([*positives, *negatives], "document") @ anchor
        sums[i] = (scores[len(positives) :] - scores[: len(positives)].mean()).sum(dtype=np.float64)
        counts[i] = len(negatives)
    if not counts.sum():
        return None
    drawn = np.random.default_rng(0).integers(0, len(rows), size=(1_000, len(rows)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [0.025, 0.975])
    mean = float(sums.sum() / counts.sum())
    name = name_of(encoder.model)
    return Hardness(mean, float(low), float(high), int(counts.sum()), len(rows), name, truth_known)
