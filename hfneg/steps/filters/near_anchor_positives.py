from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hfneg.base.arrays import Mask
from hfneg.base.settings import check, is_number, is_whole
from hfneg.models.neighbours import NearAnchors
from hfneg.steps.block.pool import Pool
from hfneg.steps.filters.base import Filter
from hfneg.steps.model_step import WithQueries

BLOCK = 256  # anchors whose neighbours' positives are in RAM together


@dataclass(frozen=True, repr=False)
class NearAnchorPositives(WithQueries, Filter):
    """Keeps candidates that are no known positive of a near anchor: two ways to ask one question share their answers.

    Near are the `neighbours` nearest anchors, of all that `Anchors` has read, whose vectors (the query vectors of
    `model`, the same stored ones that ``Dense(model)`` searches with) have a cosine of at least `similarity`. They are
    found once, exactly, and kept. It helps where several anchors ask for the same thing, and does nothing elsewhere.

    `revision`, `query_prompt`, `max_seq_length` and `batch_size` are those of `Dense`: as there, the same vectors.
    """

    neighbours: int = 10
    similarity: float = 0.9

    verdict = "near_anchor"
    meaning = "is a positive of a near anchor"
    uses_own_positives = False

    def __post_init__(self) -> None:
        check(is_whole(self.neighbours, 1), self, "neighbours", self.neighbours, "a whole number of at least 1")
        cosine = is_number(self.similarity) and -1 <= self.similarity <= 1
        check(cosine, self, "similarity", self.similarity, "a cosine, -1 to 1")
        self._check_model()

    def keep(self, pool: Pool) -> Mask:
        near = NearAnchors(pool.anchors, self.encoder, self.neighbours)
        kept: Mask = np.ones(len(pool), dtype=bool)
        indptr, wide = pool.block.indptr, len(pool.corpus)
        for start in range(0, len(pool.numbers), BLOCK):
            numbers, cosines = near.of(pool.numbers[start : start + BLOCK])
            owners, place = np.nonzero(cosines >= np.float32(self.similarity))
            positives = pool.anchors.positives(numbers[owners, place])
            taken = (owners[positives.owners] + start) * wide + positives.flat
            some = slice(indptr[start], indptr[min(start + BLOCK, len(pool.numbers))])
            kept[some] = ~np.isin(pool.owners[some] * wide + pool.rows[some], taken)
        return kept
