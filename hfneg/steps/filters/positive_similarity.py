from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hfneg.base.arrays import Mask
from hfneg.base.lists import Lists
from hfneg.base.settings import check, is_number
from hfneg.data.anchors import Anchors
from hfneg.models.cosines import highest_cosines
from hfneg.models.positive_pairs import require_pairs, similarity_quantile
from hfneg.models.vectors import Vectors
from hfneg.steps.block.pool import Pool
from hfneg.steps.filters.base import Filter
from hfneg.steps.model_step import WithDocuments


@dataclass(frozen=True, repr=False)
class PositiveSimilarity(WithDocuments, Filter):
    """Keeps candidates that are not too similar to any known positive: what says the same answers the same.

    Similar is the cosine of the vectors of two documents (of `model`, the same stored ones that ``Dense(model)``
    searches). The limit is exactly one of two.

    Args:
        below: this cosine.
        quantile: that of pairs of known positives of one anchor, over all anchors (at most 10,000 pairs): 0.5 drops
            what is as similar to a positive as half of the known positives are to one another. Smaller drops more.
            Fewer than 20 such pairs are refused.
        revision, document_prompt, max_seq_length, batch_size: those of `Dense`; as there, the same vectors.
    """

    below: float | None = None
    quantile: float | None = None

    verdict = "like_positive"
    meaning = "is too similar to a positive"

    def __post_init__(self) -> None:
        one = (self.below is None) != (self.quantile is None)
        check(one, self, "below", self.below, f"given, or quantile (now {self.quantile!r}), and not both")
        cosine = self.below is None or (is_number(self.below) and -1 <= self.below <= 1)
        check(cosine, self, "below", self.below, "a cosine, -1 to 1")
        share = self.quantile is None or (is_number(self.quantile) and 0 <= self.quantile <= 1)
        check(share, self, "quantile", self.quantile, "a quantile, 0 to 1")
        self._check_model()

    def keep(self, pool: Pool) -> Mask:
        if self.quantile is None:
            limit = self.below or 0.0
        else:
            limit = similarity_quantile(pool.anchors, self.encoder, self.quantile)
        vectors = Vectors(pool.corpus, self.encoder, "document")
        similar = highest_cosines(vectors, Lists(pool.block.indptr, pool.rows), pool.positives)
        kept: Mask = similar < np.float32(limit)
        return kept

    def check_anchors(self, anchors: Anchors) -> None:
        if self.quantile is not None:
            require_pairs(anchors)
