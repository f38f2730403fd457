from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hfneg.base.arrays import Mask
from hfneg.base.settings import check, check_choice, is_number
from hfneg.steps import papers
from hfneg.steps.block.pool import SCORE, Against, Pool
from hfneg.steps.filters.base import Filter, Scores

SHARES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Usual ones of a positive's score."""


@dataclass(frozen=True)
class Margin(Filter):
    """Keeps candidates that score clearly below the positive: likely unlabelled positives go.

    Args:
        absolute: keeps score <= positive - absolute. Exactly one of the two.
        relative: keeps score <= positive - relative * abs(positive): TopK-PercPos of NV-Retriever (Moreira et al. 2024,
            section 3.2), whose setting of 95% is ``relative=0.05``.

    `against` says which of several known positives counts: the least ("min"), the
    "mean" or the largest ("max") score; `by` which score is compared: "score" (what ranks), a source's by its name, or
    "teacher"; None: the teacher's where there is one.

    `noisy` keeps a mislabelled positive from silencing its anchor: a positive that the teacher puts below this
    quantile of all known positives (0.05: the worst twentieth) counts as that quantile.

    A candidate that the source `by` did not retrieve counts with the least score of that source's list, which is the
    most it can have.
    """

    relative: float | None = None
    absolute: float | None = None
    by: str | None = None
    against: Against = "min"
    noisy: float | None = None

    verdict = "margin"
    meaning = "scores too close to the positive"
    cites = (papers.NV_RETRIEVER,)

    def __post_init__(self) -> None:
        one = (self.relative is None) != (self.absolute is None)
        check(one, self, "relative", self.relative, f"given, or absolute (now {self.absolute!r}), and not both")
        share = self.relative is None or (is_number(self.relative) and 0 <= self.relative < 1)
        check(share, self, "relative", self.relative, "a share, 0 to below 1")
        above = self.absolute is None or (is_number(self.absolute) and self.absolute >= 0)
        check(above, self, "absolute", self.absolute, "a number, 0 or more")
        quantile = self.noisy is None or (is_number(self.noisy) and 0 < self.noisy < 1)
        check(quantile, self, "noisy", self.noisy, "None or a quantile between 0 and 1, such as 0.05")
        check_choice(self, "against", self.against, ("min", "mean", "max"))

    def keep(self, pool: Pool) -> Mask:
        least = None if self.noisy is None else pool.positive_quantile(self.noisy)
        positive = pool.positive_score(self.by, self.against, least).astype(np.float64)
        # abs: five percent below -0.2 is -0.21; without it a positive below zero would raise the limit
        below = self.absolute if self.absolute is not None else np.abs(positive) * (self.relative or 0.0)
        kept: Mask = pool.highest_possible(self.by) <= positive - below
        return kept

    def compares_with_positive(self) -> str | None:
        return self.by or SCORE

    def reads_known_positives(self) -> bool:
        return self.noisy is not None

    def variations(self, positives: Scores) -> tuple[str, Sequence[float]]:
        if self.relative is not None:
            return "relative", SHARES
        spread = 2 * float(np.std(positives)) if len(positives) else 1.0
        return "absolute", [round(share * spread, 6) for share in SHARES]

    def is_relative(self) -> bool:
        return self.relative is not None
