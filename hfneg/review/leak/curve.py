"""The leak rate as a function of one setting: chosen on one half of the anchors, reported on the other.

The best of several noisy rates looks better than it is, so the half that chooses does not report. Halves are made of
whole components (anchors that share positives stay together), by a hash of the seed and their anchors' texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hfneg.base.settings import is_number
from hfneg.errors import SettingError
from hfneg.review.components import first_half
from hfneg.review.leak.leak import LeakRate, rated
from hfneg.review.leak.replicas import MOST, Hiding
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.folder.reopen import reopen_anchors
from hfneg.runs.reselect import policy_recipe


@dataclass(frozen=True)
class LeakPoint:
    """One value of the setting.

    Attributes:
        value: the value; `setting` as one writes it, ``"filters.margin.relative=0.1"``.
        choosing, reporting: the leak rate on either half of the anchors.
        negatives_per_anchor: what the policy mines.
    """

    value: Any
    setting: str
    choosing: LeakRate
    reporting: LeakRate
    negatives_per_anchor: float


def leak_curve(
    mined: str | Path,
    vary: str,
    values: Sequence[Any],
    *,
    settings: Sequence[str] = (),
    corpus: Any = None,
    trust: bool = False,
    most: int = MOST,
    level: float = 0.95,
    seed: int = 0,
) -> list[LeakPoint]:
    """The leak rate for each value of a setting of the policy, on two halves of the anchors.

    ::

        points = leak_curve("mined/", "filters.margin.relative", [0.02, 0.05, 0.1, 0.2])
        chosen(points, target=0.05).reporting

    Args:
        vary: as in `Recipe.with_settings`; `settings` are changes that all values share.
        corpus, trust, most, level, seed: as for `leak_rate`.

    Raises as `leak_rate`; SettingError for no values.
    """
    if isinstance(values, str) or not len(values):
        raise SettingError(f"values={values!r}: expected a list of values of {vary}, such as [0.05, 0.1]")
    source = MinedLedger(mined)
    recipes = [policy_recipe(source, {}, [*settings, f"{vary}={value!r}"], trust=trust) for value in values]
    anchors = reopen_anchors(source, corpus)
    points = []
    for value, recipe in zip(values, recipes, strict=True):
        hiding = Hiding(source, recipe, anchors, most, seed)
        halves = first_half(hiding.labels, np.asarray(anchors.normal_hashes), seed)
        exact, ends = hiding.outcomes()

        def on(first: bool, parts: Any = (exact, *ends), hiding: Hiding = hiding, halves: Any = halves) -> LeakRate:
            one, *ends = (part.take(halves[part.anchors] == first) for part in parts)
            return rated(source, hiding.policy, one, tuple(ends), level)

        points.append(LeakPoint(value, f"{vary}={value!r}", on(True), on(False), hiding.negatives() / len(source)))
    return points


def chosen(points: Sequence[LeakPoint], target: float) -> LeakPoint | None:
    """Of those whose leak rate (of all hidden positives) on the choosing half is at most `target` the one that mines
    most; None where there is none. Where there is a bracket its upper end counts, exact rate or not.
    """
    if not is_number(target) or not 0 < target < 1:
        raise SettingError(f"target={target!r} must be a rate above 0 and below 1")
    good = [point for point in points if upper(point.choosing) <= target]
    return max(good, key=lambda point: point.negatives_per_anchor) if good else None


def upper(rate: LeakRate) -> float:
    """The highest of the rates that a `LeakRate` names (of all hidden positives, without intervals); 1 for none."""
    named = [leak.leaked_of_all.value for leak in (rate.exact, *(rate.bracket or ())) if leak is not None]
    return max(named, default=1.0)
