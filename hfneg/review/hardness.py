"""How hard negatives are for a model that had no part in choosing them: s(anchor, negative) - s(anchor, positive).

A rate of false negatives says nothing alone: trivial negatives have none. The reference must be neither the
miner nor the teacher, for what was chosen by a model's scores looks as that model chose it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hfneg.base.arrays import Ints, Numbers
from hfneg.base.lists import Lists
from hfneg.errors import SettingError
from hfneg.models.encoder import Encoder
from hfneg.models.weights import name_of
from hfneg.review import intervals

ANCHORS, POSITIVES, NEGATIVES = 500, 8, 32
"""At most so many anchors, known positives of each, and negatives of each are encoded."""


@dataclass(frozen=True)
class Hardness:
    """Mean of s(anchor, negative) - s(anchor, positive) under `reference`; higher is harder.

    Over negatives that are not relevant by the judgments, or over all where there are none
    (`truth_known` False); of a sample of `anchors`. `low`, `high`: 95%, over components of anchors that share
    positives.
    """

    mean: float
    low: float
    high: float
    negatives: int
    anchors: int
    reference: str
    truth_known: bool


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


def differences(
    encoder: Encoder, anchors: list[str], documents: list[str], positives: Lists, negatives: Lists
) -> Numbers:
    """float64 [len(negatives.flat)]: each negative's score less the mean of its anchor's positives'.

    Args:
        anchors: n texts. documents: texts that the lists of n name by their places. Each is encoded once.
    """
    queries = np.asarray(encoder.encode(anchors, "query"), dtype=np.float32)
    vectors = np.asarray(encoder.encode(documents, "document"), dtype=np.float32)

    def scores(lists: Lists) -> Numbers:
        values: Numbers = np.einsum("ij,ij->i", queries[lists.owners], vectors[lists.flat]).astype(np.float64)
        return values

    means = np.bincount(positives.owners, scores(positives), len(positives)) / np.maximum(positives.lengths, 1)
    found: Numbers = scores(negatives) - means[negatives.owners]
    return found


def told(
    values: Numbers, weights: Numbers, owners: Ints, components: Ints, reference: str, known: bool
) -> Hardness | None:
    """The mean of `values`, float64 [k], each with its weight; None where nothing weighs anything.

    Args:
        weights: float64 [k], the chance that it is a true negative. known: whether all of these are judgments.
        owners: int64 [k], the anchor of each, any number. components: int64 [k], that anchor's component.
    """
    if not weights.sum() > 0:
        return None
    _, first, place = np.unique(owners, return_index=True, return_inverse=True)
    sums, totals = (np.bincount(place.reshape(-1), weights=w) for w in (weights * values, weights))
    low, high = intervals.mean(sums, totals, components[first])
    return Hardness(float(sums.sum() / totals.sum()), low, high, len(values), len(sums), reference, known)
