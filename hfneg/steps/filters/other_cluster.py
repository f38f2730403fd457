"""Mine only in other clusters than the positive's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hfneg.base.arrays import Mask
from hfneg.base.settings import check, is_seed
from hfneg.data.anchors import Anchors
from hfneg.errors import SettingError
from hfneg.models.clusters import cluster_labels
from hfneg.steps.block.pool import Pool
from hfneg.steps.filters.base import Filter
from hfneg.steps.model_step import WithDocuments


@dataclass(frozen=True, repr=False)
class OtherCluster(WithDocuments, Filter):
    """Keeps candidates in other clusters than every known positive of the anchor.

    The corpus is clustered once by k-means over the vectors of `model` (the same stored ones that
    ``Dense(model)`` searches). A cluster gathers what is about the same thing, and unlabelled positives
    with it. Fewer clusters remove more.

    `revision`, `document_prompt`, `max_seq_length` and `batch_size` are those of `Dense`: as there, the same vectors.
    """

    clusters: int = 256
    seed: int = 0

    verdict = "same_cluster"
    meaning = "is in the cluster of a positive"

    def __post_init__(self) -> None:
        whole = isinstance(self.clusters, int) and not isinstance(self.clusters, bool)
        check(whole and self.clusters >= 2, self, "clusters", self.clusters, "a whole number of at least 2")
        check(is_seed(self.seed), self, "seed", self.seed, "a whole number, 0 or more")
        self._check_model()

    def keep(self, pool: Pool) -> Mask:
        self.check_anchors(pool.anchors)
        labels = cluster_labels(pool.corpus, self.encoder, self.clusters, self.seed)
        positives = pool.positives
        taken = np.unique(positives.owners * self.clusters + labels[positives.flat])
        kept: Mask = ~np.isin(pool.owners * self.clusters + labels[pool.rows], taken)
        return kept

    def check_anchors(self, anchors: Anchors) -> None:
        if self.clusters > len(anchors.corpus):
            raise SettingError(
                f"OtherCluster(clusters={self.clusters}): the corpus has only {len(anchors.corpus)} documents; "
                "ask for fewer clusters"
            )
