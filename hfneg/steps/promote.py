"""Promotion: candidates that the teacher puts above the positive become extra positives, not negatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hfneg.base.arrays import Mask
from hfneg.base.settings import check, check_choice, is_number, is_whole
from hfneg.steps import papers
from hfneg.steps.block.pool import TEACHER, Against, Pool
from hfneg.steps.step import Step


@dataclass(frozen=True, repr=False)
class Promote(Step):
    """Makes extra positives of at most `n` candidates per anchor: those the teacher scores highest, where it says

        score >= positive + margin, and score >= the `quantile` of all known positives.

    `against` says which of several known positives counts. The second condition keeps a noisy positive, which
    everything is above, from promoting everything; None leaves it out. `least` is a limit on the teacher's scale
    besides, for a judge whose grades mean something by themselves. What is promoted is no negative whatever the filters
    say; what filters that ask no teacher have dropped, or the leakage guard, is never promoted.

    Source: relabelling false negatives, Thakur et al. 2025 ("Fixing Data That Hurts Performance: Cascading LLMs to
    Relabel Hard Negatives for Robust Information Retrieval"); there the judges are language models.
    """

    n: int = 3
    margin: float = 0.0
    against: Against = "max"
    quantile: float | None = 0.5
    least: float | None = None

    cites = (papers.RELABELLING,)

    def __post_init__(self) -> None:
        check(is_whole(self.n, 1), self, "n", self.n, "a whole number of at least 1")
        check(is_number(self.margin) and self.margin >= 0, self, "margin", self.margin, "a number, 0 or more")
        check_choice(self, "against", self.against, ("min", "mean", "max"))
        good = self.quantile is None or (is_number(self.quantile) and 0 <= self.quantile <= 1)
        check(good, self, "quantile", self.quantile, "None or a quantile, 0 to 1")
        check(self.least is None or is_number(self.least), self, "least", self.least, "None or a number")

    def __repr__(self) -> str:
        """`least` where it is given: recipes of earlier versions stay the same text."""
        shown = {name: value for name, value in self.settings().items() if name != "least" or value is not None}
        return f"Promote({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def chosen(self, pool: Pool, examined: Mask) -> Mask:
        """bool [m]: the candidates to promote, of those that the teacher has examined."""
        score = pool.score(TEACHER).astype(np.float64)
        high = examined & (score >= pool.positive_score(TEACHER, self.against).astype(np.float64) + self.margin)
        if self.quantile is not None:
            high &= score >= pool.positive_quantile(self.quantile)
        if self.least is not None:
            high &= score >= self.least
        return pool.first(high, -score, self.n)
