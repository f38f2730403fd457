from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hfneg.base.arrays import Mask
from hfneg.base.settings import check, is_number
from hfneg.steps.block.pool import Pool
from hfneg.steps.filters.base import QUANTILES, Filter, Scores


@dataclass(frozen=True)
class BelowPositives(Filter):
    """Keeps candidates that the teacher scores no higher than nearly all known positives of the whole collection.

    The limit is the given quantile of the teacher's scores of the known positives of all anchors: 0.1 is the score
    that a tenth of them do not exceed. If unlabelled positives scored as labelled ones do, a tenth of them would pass.
    Unlike a margin it does not depend on one positive of one anchor, which may itself be mislabelled, and needs no
    scale that begins at zero. More than 10,000 known positives are represented by 10,000.
    """

    quantile: float = 0.1

    verdict = "among_positives"
    meaning = "scores as known positives do"
    needs_teacher = True
    uses_own_positives = False

    def __post_init__(self) -> None:
        good = is_number(self.quantile) and 0 <= self.quantile <= 1
        check(good, self, "quantile", self.quantile, "a quantile, 0 to 1")

    def keep(self, pool: Pool) -> Mask:
        kept: Mask = pool.score("teacher") <= np.float32(pool.positive_quantile(self.quantile))
        return kept

    def variations(self, positives: Scores) -> tuple[str, Sequence[float]]:
        return "quantile", QUANTILES

    def reads_known_positives(self) -> bool:
        return True
