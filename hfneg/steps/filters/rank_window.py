from __future__ import annotations

from dataclasses import dataclass

from hfneg.base.arrays import Mask
from hfneg.base.settings import check, is_whole
from hfneg.steps import papers
from hfneg.steps.block.pool import Pool
from hfneg.steps.filters.base import Filter


@dataclass(frozen=True)
class RankWindow(Filter):
    """Keeps ranks skip + 1 .. stop of the retrieved (or fused) list, counted before any removal.

    The first ranks hold most of the unlabelled positives (Qu et al., RocketQA, NAACL 2021, section 3.1).
    """

    skip: int = 0
    stop: int | None = None

    verdict = "rank_window"
    meaning = "ranks outside the window"
    uses_own_positives = False
    cites = (papers.ROCKETQA,)

    def __post_init__(self) -> None:
        check(is_whole(self.skip), self, "skip", self.skip, "a whole number, 0 or more")
        good = self.stop is None or is_whole(self.stop, self.skip + 1)
        check(good, self, "stop", self.stop, f"None or a whole number above skip ({self.skip})")

    def keep(self, pool: Pool) -> Mask:
        kept: Mask = pool.ranks > self.skip
        return kept if self.stop is None else kept & (pool.ranks <= self.stop)
