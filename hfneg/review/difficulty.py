"""How hard mined pairs are for a model that is neither miner nor teacher: s(anchor, negative) - s(anchor, positive)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hfneg.base.hashing import mix, uniform
from hfneg.base.lists import Lists
from hfneg.data.anchors import Anchors
from hfneg.models.encoder import Encoder
from hfneg.models.weights import name_of
from hfneg.review import hardness
from hfneg.review.audit.findings import Hardness
from hfneg.review.calibrate.frame import Frame

Rows = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

ANCHORS, POSITIVES, NEGATIVES = 300, 4, 24
"""At most so many anchors, known positives of each, and pairs of each, over all settings, are encoded."""
RESAMPLES = 1_000


@dataclass(frozen=True)
class Measured:
    """Hardness of some pairs of a frame: `at` int64 [k] their positions, `values` float64 [k]."""

    at: Rows
    values: Numbers
    reference: str

    def mean(self, frame: Frame, inside: Mask, relevance: Numbers, known: bool) -> Hardness | None:
        """Over the measured pairs `inside`, each counted by its chance 1 - relevance of being a true negative.

        95% bootstrap over anchors. `known`: whether every relevance is a judgment.
        """
        here = inside[self.at]
        at, values = self.at[here], self.values[here]
        weights = 1 - relevance[at]
        if not weights.sum() > 0:
            return None
        _, place = np.unique(frame.numbers[at], return_inverse=True)
        sums, totals = (np.bincount(place.reshape(-1), weights=w) for w in (weights * values, weights))
        drawn = np.random.default_rng(0).integers(0, len(sums), size=(RESAMPLES, len(sums)))
        below = totals[drawn].sum(axis=1)
        low, high = np.quantile(sums[drawn].sum(axis=1)[below > 0] / below[below > 0], [0.025, 0.975])
        mean = float(sums.sum() / totals.sum())
        return Hardness(mean, float(low), float(high), len(at), len(sums), self.reference, known)


def measure(model: Any, recipe: str, frame: Frame, anchors: Anchors) -> Measured:
    """Encode a sample of the frame's anchors, their positives, and their pairs.

    Raises SettingError where the recipe names the model as miner or teacher.
    """
    encoder = hardness.reference(model, recipe)
    at = _sample(frame)
    numbers, place = np.unique(frame.numbers[at], return_inverse=True)
    queries = _vectors(encoder, anchors.texts(numbers).to_pylist(), "query")
    positives = _some(anchors.positives(numbers))
    rows, of = np.unique(np.concatenate([positives.flat, frame.rows[at]]), return_inverse=True)
    vectors = _vectors(encoder, anchors.corpus.texts(rows).to_pylist(), "document")[of.reshape(-1)]
    known = np.einsum("ij,ij->i", queries[positives.owners], vectors[: len(positives.flat)])
    means = np.bincount(positives.owners, weights=known) / positives.lengths
    scores = np.einsum("ij,ij->i", queries[place.reshape(-1)], vectors[len(positives.flat) :])
    return Measured(at, scores.astype(np.float64) - means[place.reshape(-1)], name_of(encoder.model))


def _sample(frame: Frame) -> Rows:
    """Pairs of up to ANCHORS anchors, up to NEGATIVES of each, drawn by counters, so that each set is fairly in it."""
    names = np.unique(frame.numbers)
    names = names[np.argsort(mix(0, names), kind="stable")[:ANCHORS]]
    at = np.flatnonzero(np.isin(frame.numbers, names))
    drawn = uniform(1, frame.numbers[at], frame.rows[at])
    at = at[np.lexsort((drawn, frame.numbers[at]))]
    _, first, counts = np.unique(frame.numbers[at], return_index=True, return_counts=True)
    return np.sort(at[np.arange(len(at)) - np.repeat(first, counts) < NEGATIVES])


def _some(positives: Lists) -> Lists:
    """The first POSITIVES of each."""
    return Lists.gather(
        positives.flat, positives.indptr[:-1], positives.indptr[:-1] + np.minimum(positives.lengths, POSITIVES)
    )


def _vectors(encoder: Encoder, texts: list[str], role: Any) -> npt.NDArray[np.float32]:
    return np.asarray(encoder.encode(texts, role), dtype=np.float32)
