"""How hard mined pairs are for a model that is neither miner nor teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hfneg.base.arrays import Ints, Mask, Numbers
from hfneg.base.hashing import mix, uniform
from hfneg.base.lists import Lists, offsets
from hfneg.data.anchors import Anchors
from hfneg.models.weights import name_of
from hfneg.review import hardness
from hfneg.review.calibrate.frame import Frame
from hfneg.review.hardness import ANCHORS, NEGATIVES, POSITIVES, Hardness


@dataclass(frozen=True)
class Measured:
    """Hardness of some pairs of a frame: `at` int64 [k] their positions, `values` float64 [k]."""

    at: Ints
    values: Numbers
    reference: str

    def mean(self, frame: Frame, inside: Mask, relevance: Numbers, known: bool) -> Hardness | None:
        """Over the measured pairs `inside`, each counted by its chance 1 - relevance of being a true negative.

        `known`: whether every relevance is a judgment.
        """
        here = inside[self.at]
        at, numbers = self.at[here], frame.numbers[self.at[here]]
        components = frame.components[numbers]
        return hardness.told(self.values[here], 1 - relevance[at], numbers, components, self.reference, known)


def measure(model: Any, recipe: str, frame: Frame, anchors: Anchors) -> Measured:
    """Encode a sample of the frame's anchors, their positives, and their pairs.

    Raises SettingError where the recipe names the model as miner or teacher.
    """
    encoder = hardness.reference(model, recipe)
    at = _sample(frame)
    numbers, counts = np.unique(frame.numbers[at], return_counts=True)
    positives = _some(anchors.positives(numbers))
    rows, of = np.unique(np.concatenate([positives.flat, frame.rows[at]]), return_inverse=True)
    known, pairs = np.split(of.reshape(-1), [len(positives.flat)])
    values = hardness.differences(
        encoder,
        anchors.texts(numbers).to_pylist(),
        anchors.corpus.texts(rows).to_pylist(),
        Lists(positives.indptr, known),
        Lists(offsets(counts), pairs),
    )
    return Measured(at, values, name_of(encoder.model))


def _sample(frame: Frame) -> Ints:
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
