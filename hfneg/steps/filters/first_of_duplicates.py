from __future__ import annotations

from dataclasses import dataclass

from hfneg.base.arrays import Mask
from hfneg.base.lists import Lists
from hfneg.base.settings import check, is_number
from hfneg.data.near_duplicates import near_earlier
from hfneg.steps import papers
from hfneg.steps.block.pool import Pool
from hfneg.steps.filters.base import Filter


@dataclass(frozen=True)
class FirstOfDuplicates(Filter):
    """Keeps a candidate unless it is a near-duplicate of one that ranks before it: the same text teaches once.

    Two texts are near-duplicates at the share that `Guard` explains. Every candidate of the retrieved list counts as
    one before it, whatever became of that one: the copy of a document that is a likely positive is one too. So no two
    of those kept are near-duplicates, and neither a teacher's answer nor a deeper search changes the verdict.
    """

    near_duplicate: float = 0.9

    verdict = "near_duplicate"
    meaning = "is nearly the same as a candidate before it"
    pointwise = False
    uses_own_positives = False
    cites = (papers.RESEMBLANCE,)

    def __post_init__(self) -> None:
        good = is_number(self.near_duplicate) and 0.5 <= self.near_duplicate <= 1.0
        check(good, self, "near_duplicate", self.near_duplicate, "a share from 0.5 to 1.0")

    def keep(self, pool: Pool) -> Mask:
        lists = Lists(pool.block.indptr, pool.rows)
        kept: Mask = ~near_earlier(pool.corpus.texts, pool.corpus.sizes(pool.rows), lists, self.near_duplicate)
        return kept
