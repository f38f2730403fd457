"""`Outcome`: what has been decided of a pool's candidates so far.

It grows in phases: the first search, a deeper one for anchors that got too few negatives, then what the recipe says
of those that are still short. A phase decides candidates that are spare, and takes negatives behind those there are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hfneg.base.arrays import Codes, Ints, Mask
from hfneg.base.lists import offsets
from hfneg.steps.block import verdicts
from hfneg.steps.block.pool import Pool


class Outcome:
    """Verdicts and negatives of a pool of m candidates of n anchors.

    Attributes:
        pool: the candidates, with the teacher's scores where it was asked.
        verdicts: uint8 [m], codes of `hfneg.steps.block.verdicts`.
        turns: int64 [m], the place of a candidate among its anchor's negatives, from 0; -1 where it is none.
    """

    def __init__(self, pool: Pool, codes: Codes, turns: Ints | None = None) -> None:
        self.pool, self.verdicts = pool, codes
        self.turns = np.full(len(pool), -1, dtype=np.int64) if turns is None else turns

    @property
    def spare(self) -> Mask:
        """bool [m]: not decided yet."""
        spare: Mask = self.verdicts == verdicts.SPARE
        return spare

    @property
    def found(self) -> Ints:
        """int64 [n]: how many negatives each anchor has."""
        return np.bincount(self.pool.owners[self.turns >= 0], minlength=len(self.pool.numbers))

    def missing(self, n: int) -> Ints:
        """int64 [n anchors]: how many more negatives it takes to have n."""
        return np.maximum(n - self.found, 0)

    def take(self, among: Mask, order: Any, n: int, verdict: int) -> None:
        """Of these candidates the first by `order`, then by rank, until the anchor has n negatives."""
        pool, found = self.pool, self.found
        taken = np.flatnonzero(pool.first(among, order, np.maximum(n - found, 0)))
        taken = taken[np.lexsort((pool.ranks[taken], order[taken], pool.owners[taken]))]
        counts = np.bincount(pool.owners[taken], minlength=len(found))
        self.turns[taken] = np.arange(len(taken)) + np.repeat(found - offsets(counts)[:-1], counts)
        self.verdicts[taken] = verdict

    @property
    def taken(self) -> Ints:
        """int64: positions of all negatives, anchor by anchor, in their order."""
        at = np.flatnonzero(self.turns >= 0)
        return at[np.lexsort((self.turns[at], self.pool.owners[at]))]
