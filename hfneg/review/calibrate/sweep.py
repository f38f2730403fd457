"""One setting of the policy, varied: rate, yield and hardness of each value, and a choice that is honest about itself.

The value is chosen on one half of the components of anchors and reported on the other, because the best of many
noisy rates looks better than it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hfneg.base.arrays import Mask
from hfneg.review.calibrate.difficulty import Measured
from hfneg.review.calibrate.estimator import Estimator
from hfneg.review.calibrate.findings import Chosen, Rate, Setting
from hfneg.review.hardness import Hardness


def setting(value: Any, place: int, estimator: Estimator, measured: Measured | None, leak: Any) -> Setting | None:
    """What is known of the pairs that setting number `place` of the frame mines; None where that is no rate."""
    frame = estimator.frame
    inside = frame.mined[place]
    rate = estimator.rate(inside, given=int(frame.given.sum()))
    if rate is None:
        return None
    anchors = len(frame.components)
    ranks = frame.ranks[inside]
    return Setting(
        value=value,
        false_negatives=rate,
        leak=leak,
        negatives=len(ranks),
        negatives_per_anchor=len(ranks) / max(anchors, 1),
        mean_rank=float(ranks.mean()) if len(ranks) else 0.0,
        hardness=hardness(estimator, measured, inside),
    )


def hardness(estimator: Estimator, measured: Measured | None, inside: Mask) -> Hardness | None:
    """Of pairs that are not relevant, as far as that is known."""
    if measured is None:
        return None
    known = estimator.labels is not None and not np.isnan(estimator.labels[measured.at][inside[measured.at]]).any()
    return measured.mean(estimator.frame, inside, estimator.relevance(inside), bool(known))


def choose(
    target: float, found: Sequence[Setting], places: Sequence[int], estimator: Estimator, fragment: Callable[[Any], str]
) -> Chosen:
    """The hardest setting whose upper end is below `target` on one half; its rate on the other half.

    Both intervals are for other anchors (over components): what is chosen is to hold for those that are yet to come.

    Hardest by the reference model; where there is none, the one with most negatives, and of these the lowest ranks.
    """
    here = estimator.frame.first_half[estimator.frame.numbers]
    mined = estimator.frame.mined
    given = [
        int(estimator.frame.given[half].sum()) for half in (estimator.frame.first_half, ~estimator.frame.first_half)
    ]
    rates = [estimator.rate(mined[place] & here, elsewhere=True, given=given[0]) for place in places]
    good = [i for i, rate in enumerate(rates) if rate is not None and rate.high < target and found[i].negatives]
    if not good:
        return Chosen(target, None, None, None, None)
    best = max(good, key=lambda i: _hard(found[i]))
    reported: Rate | None = estimator.rate(mined[places[best]] & ~here, elsewhere=True, given=given[1])
    return Chosen(target, found[best].value, rates[best], reported, fragment(found[best].value))


def _hard(one: Setting) -> tuple[float, float, float]:
    mean = one.hardness.mean if one.hardness is not None else 0.0
    return mean, one.negatives_per_anchor, -one.mean_rank
