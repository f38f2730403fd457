from __future__ import annotations

from dataclasses import dataclass

from hfneg.base.arrays import Mask
from hfneg.base.settings import check, is_whole
from hfneg.errors import SettingError
from hfneg.steps import papers
from hfneg.steps.block.pool import Pool
from hfneg.steps.filters.base import Filter


@dataclass(frozen=True)
class Hubs(Filter):
    """Keeps a document for at most `most` anchors: those whose lists rank it best (of equal ranks, by their hash).

    Some documents are near to everything and would be everybody's negative (hubs: Radovanovic et al., JMLR 2010). The
    lists of all anchors are counted once, after the search and before any other filter, known positives and the
    anchor's own text aside; so the verdict depends neither on batches nor on a teacher. What a deeper search finds can
    be used by as many more anchors as the first lists have left of `most`, again those that rank it best. `Fill`
    does not count. Only `hfneg.mine` sees all anchors; in `.map` this filter is refused.
    """

    most: int = 10

    verdict = "hub"
    meaning = "is kept for anchors that rank it better"
    over_all_anchors = True
    uses_own_positives = False
    cites = (papers.HUBS,)

    def __post_init__(self) -> None:
        check(is_whole(self.most, 1), self, "most", self.most, "a whole number of at least 1")

    def counts_over_all(self) -> int:
        return self.most

    def keep(self, pool: Pool) -> Mask:
        closed = pool.block.closed
        if closed is None:
            raise SettingError(f"{self!r} needs the lists of all anchors, which hfneg.mine counts; use that")
        kept: Mask = ~closed
        return kept
