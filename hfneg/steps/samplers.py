"""Samplers: which of the surviving candidates become negatives, and in what order they are asked.

A sampler gives every candidate a place (lower first) that depends on scores, ids, and the seed alone; the
first n survivors in that order are taken. Random places come from a counter-based generator keyed by seed,
anchor and document, so a sample is the same whatever the batch size, process, stream or order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hfneg.base.hashing import uniform
from hfneg.base.settings import check, is_number, is_seed, is_whole
from hfneg.steps import papers
from hfneg.steps.block.pool import SCORE, Pool
from hfneg.steps.step import Judging

Places = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sampler(Judging):
    """Base of the samplers; `n` negatives per anchor.

    Where one reads the teacher's score, all candidates are scored; `places` may be NaN for those that filters dropped
    before.
    """

    n: int

    def __post_init__(self) -> None:
        check(is_whole(self.n, 1), self, "n", self.n, "a whole number of at least 1")

    def places(self, pool: Pool) -> Places:
        """float64 [m]: lower comes first; equal places are taken in rank order."""
        raise NotImplementedError


@dataclass(frozen=True)
class TakeTop(Sampler):
    """The first n survivors in rank order: the hardest ones by the retriever."""

    def places(self, pool: Pool) -> Places:
        return pool.ranks.astype(np.float64)


@dataclass(frozen=True)
class TakeRandom(Sampler):
    """n survivors uniformly at random, in random order (Xiong et al., ANCE, ICLR 2021, section 4)."""

    seed: int = 0

    cites = (papers.ANCE,)

    def __post_init__(self) -> None:
        super().__post_init__()
        check(is_seed(self.seed), self, "seed", self.seed, "a whole number, 0 or more")

    def places(self, pool: Pool) -> Places:
        return uniform(self.seed, pool.anchor_hashes, pool.rows)


@dataclass(frozen=True)
class TakeSimANS(Sampler):
    """n survivors with probability proportional to exp(-a (s - s_positive - b)^2): around the positive's score.

    Without replacement, by exponential keys (Efraimidis and Spirakis 2006). Source: Zhou et al., SimANS,
    EMNLP 2022, equation 4; there a = 1 and b = 0 on their scores' scale. `by` names the score.
    """

    a: float = 1.0
    b: float = 0.0
    by: str = SCORE
    seed: int = 0

    cites = (papers.SIMANS, papers.RESERVOIR)

    def __post_init__(self) -> None:
        super().__post_init__()
        check(is_number(self.a) and self.a >= 0, self, "a", self.a, "a number, 0 or more")
        check(is_number(self.b), self, "b", self.b, "a number")
        check(is_seed(self.seed), self, "seed", self.seed, "a whole number, 0 or more")

    def places(self, pool: Pool) -> Places:
        score = pool.highest_possible(self.by).astype(np.float64)
        distance = score - pool.positive_score(self.by, "mean").astype(np.float64) - self.b
        # The key -log(u) / w overflows where the weight w underflows: compare logarithms instead.
        keys: Places = np.log(-np.log(uniform(self.seed, pool.anchor_hashes, pool.rows))) + self.a * distance**2
        return np.where(np.isnan(keys), np.inf, keys)  # an anchor for which `by` found nothing: in rank order

    def compares_with_positive(self) -> str | None:
        return self.by


SAMPLERS: list[type[Sampler]] = [TakeTop, TakeRandom, TakeSimANS]
