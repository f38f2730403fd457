from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hfneg.base.arrays import Mask
from hfneg.base.settings import check, is_number
from hfneg.steps import papers
from hfneg.steps.block.pool import Pool
from hfneg.steps.filters.base import QUANTILES, Filter, Scores


@dataclass(frozen=True)
class Band(Filter):
    """Keeps scores from `low` to `high`, both included: too high may be an unlabelled positive, too low is easy.

    `by` is "score" (what ranks the candidates), the name of a source, or "teacher"; None: the teacher's where there is
    one, else "score". A candidate that this source did not retrieve is below every `low`, also one that equals the
    least score of its list, and counts for `high` with that least score. Source: Zhan et al., SIGIR 2021, section 3
    (static hard negatives of a middle difficulty).
    """

    low: float | None = None
    high: float | None = None
    by: str | None = None

    verdict = "band"
    meaning = "scores outside the band"
    uses_own_positives = False
    cites = (papers.STATIC_AND_DYNAMIC,)

    def __post_init__(self) -> None:
        check(self.low is not None or self.high is not None, self, "low", self.low, "given, or high must be")
        for setting, given in (("low", self.low), ("high", self.high)):
            check(given is None or is_number(given), self, setting, given, "None or a number")
        ordered = self.low is None or self.high is None or self.low <= self.high
        check(ordered, self, "high", self.high, f"at least low ({self.low})")

    def variations(self, positives: Scores) -> tuple[str, Sequence[float]] | None:
        if self.high is None or not len(positives):
            return None
        quantiles = {round(float(value), 6) for value in np.quantile(positives, QUANTILES)}
        return "high", sorted(value for value in quantiles if self.low is None or value >= self.low)

    def keep(self, pool: Pool) -> Mask:
        kept: Mask = np.ones(len(pool), dtype=bool)
        if self.low is not None:
            kept &= pool.score(self.by) >= np.float32(self.low)
        if self.high is not None:
            kept &= pool.highest_possible(self.by) <= np.float32(self.high)
        return kept
