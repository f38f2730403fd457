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
from hfneg.review.calibrate.findings import Beside, Chosen, Rate, Setting
from hfneg.review.calibrate.isotonic import falling
from hfneg.review.calibrate.varied import Varied
from hfneg.review.hardness import Hardness
from hfneg.review.intervals import needed

WHOLE = 0.99
"""A skip that gives fewer of the negatives leaves anchors short."""


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


def choose_skip(target: float, known: Sequence[tuple[int, Setting]], estimator: Estimator, varied: Varied) -> Chosen:
    """The smallest skip for which it can be shown that fewer are relevant than `target`.

    Skips are gone through from the largest that has enough judged pairs to the smallest, and the first that fails ends
    it: so the chance to choose a wrong one is that of one interval, without a half of the anchors set aside (fixed
    sequence testing; Angelopoulos et al. 2021, "Learn then Test", section 3). What is relevant falls with the rank, so
    that a skip's rate is at most that of its negatives and those of smaller skips together: of these as many are taken
    in as make the judged pairs enough, whatever the judgments say. Skips that leave anchors short are not chosen.
    """
    frame, enough = estimator.frame, needed(target / 2)
    most = max((one.negatives for _, one in known), default=0)
    whole = sorted(((i, one) for i, one in known if one.negatives >= WHOLE * most), key=lambda each: each[1].value)
    best: tuple[Setting, Rate] | None = None
    for end in range(len(whole), 0, -1):
        rate = None
        for start in range(end - 1, -1, -1):
            rate = estimator.rate(np.asarray(frame.mined[[i for i, _ in whole[start:end]]].any(axis=0)))
            if rate is not None and rate.judged >= enough:
                break
        if rate is None or rate.high >= target:
            if best is not None or (rate is not None and rate.judged >= enough):
                break
            continue
        best = whole[end - 1][1], rate
    if best is None:
        return Chosen(target, None, None, None, None, in_order=True)
    one, rate = best
    return Chosen(target, one.value, rate, one.false_negatives, varied.fragment(one.value), in_order=True)


def beside(own: Rate, hard: Hardness | None, found: Sequence[Setting]) -> Beside | None:
    """The rate beside the skip that is as hard; None where hardness or rate is not known, or of one skip alone."""
    points = [(one.value, one.hardness.mean, one.false_negatives) for one in found if one.hardness is not None]
    points.sort(key=lambda point: float(point[0]))
    if hard is None or own.rate is None or len(points) < 2:
        return None
    skips = np.array([skip for skip, _, _ in points], dtype=np.float64)
    hards = falling(np.array([mean for _, mean, _ in points]))
    ends = [np.array([getattr(rate, name) for *_, rate in points]) for name in ("rate", "low", "high")]
    rate, low, high = (float(np.interp(hard.mean, hards[::-1], falling(end)[::-1])) for end in ends)
    place = "" if hards[-1] <= hard.mean <= hards[0] else ("harder" if hard.mean > hards[0] else "easier")
    return Beside(
        float(np.interp(-hard.mean, -hards, skips)),
        rate,
        own.rate / rate if rate else None,
        own.low / high if high else 0.0,
        own.high / low if low else None,
        place,
    )


def _hard(one: Setting) -> tuple[float, float, float]:
    mean = one.hardness.mean if one.hardness is not None else 0.0
    return mean, one.negatives_per_anchor, -one.mean_rank
