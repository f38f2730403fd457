"""One setting of a folder's policy with several values: the recipes, and their replays over the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from hfneg.base.settings import is_whole
from hfneg.data.anchors import Anchors
from hfneg.errors import InputError, SettingError
from hfneg.pipeline.policy import Policy
from hfneg.pipeline.recipe import Recipe
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.replay import Replay, replayed_policy
from hfneg.runs.reselect import guard_of, policy_recipe
from hfneg.steps.filters.rank_window import RankWindow
from hfneg.steps.samplers import TakeTop
from hfneg.steps.short import Keep

Floats = npt.NDArray[np.floating]


SKIP = "skip"
"""What is varied where it is no setting of the recipe: how many first ranks are skipped, instead of all its filters."""
SKIPS = (0, 2, 5, 10, 20, 40, 80, 160, 320)


@dataclass(frozen=True)
class Varied:
    """`setting` is None, and there are no values, where nothing is varied."""

    setting: str | None = None
    values: tuple[Any, ...] = ()
    recipes: tuple[Recipe, ...] = ()
    replays: tuple[Replay, ...] = ()

    @classmethod
    def of(cls, ledger: MinedLedger, anchors: Anchors, setting: str | None, values: Any, trust: bool) -> Varied:
        """`setting` None: of the last filter with a limit, or else SKIP; `values` None: usual ones of that.

        Raises SettingError, RecipeError where there is no such setting, or no usual values.
        """
        if setting == SKIP:
            return cls._of_skips(ledger, anchors, values, trust)
        own = policy_recipe(ledger, {}, (), trust=trust)
        usual = default(own, positives_of(ledger))
        if setting is None:
            if usual is None:
                return cls._of_skips(ledger, anchors, values, trust)
            setting, values = usual
        elif values is None:
            if usual is None or not _same(own, setting, usual[0]):
                raise SettingError(f"vary={setting!r} needs values=[...] (--values): there are no usual ones for it")
            values = usual[1]
        recipes = tuple(policy_recipe(ledger, {}, (f"{setting}={value!r}",), trust=trust) for value in values)
        return cls(setting, tuple(values), recipes, tuple(_replay(ledger, anchors, recipe) for recipe in recipes))

    @classmethod
    def _of_skips(cls, ledger: MinedLedger, anchors: Anchors, values: Any, trust: bool) -> Varied:
        """The first n behind so many ranks, by rank alone: no filter, and no teacher, which need not have seen them.

        Raises SettingError for values that are no whole numbers, and where the lists are too short for any.
        """
        n = int(ledger.summary["wanted_per_anchor"])
        longest = max(int(np.diff(block.indptr).max(initial=0)) for block in ledger.blocks())
        chosen = [skip for skip in SKIPS if skip + n <= longest] if values is None else list(values)
        for skip in chosen:
            if not is_whole(skip) or skip >= longest:
                raise SettingError(
                    f"values={values!r}: {skip!r} is no number of ranks to skip; a whole number from 0 to below "
                    f"{longest}, the longest list of {ledger.folder}, was expected"
                )
        if not chosen:
            raise SettingError(f"the lists of {ledger.folder} have {longest} candidates, too few to skip any of {n}")
        steps = {"sampler": TakeTop(n), "short": Keep()}
        recipes = tuple(
            policy_recipe(ledger, {**steps, "filters": [RankWindow(skip=skip)]}, (), trust=trust) for skip in chosen
        )
        same = guard_of(ledger) == recipes[0].guard
        replays = tuple(
            Replay(ledger, Policy(recipe.filters, recipe.sampler, recipe.guard), anchors, same_guard=same)
            for recipe in recipes
        )
        return cls(SKIP, tuple(chosen), recipes, replays)

    def fragment(self, value: Any) -> str:
        """YAML of the slot that is varied, with this value, to paste into a recipe."""
        slots = yaml.safe_load(self.recipes[self.values.index(value)].to_yaml())
        names = ("filters", "sampler") if self.setting == SKIP else (str(self.setting).split(".")[0],)
        found = {name: slots[name] for name in names}
        text: str = yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=1_000_000)
        return text


def _replay(ledger: MinedLedger, anchors: Anchors, recipe: Recipe) -> Replay:
    """Random documents for short anchors are not in the ledger, so those stay short."""
    policy = replayed_policy(ledger, recipe, anchors)
    short = Keep() if recipe.short.draws else recipe.short
    return Replay(ledger, policy, anchors, short=short, same_guard=recipe.guard == guard_of(ledger))


def positives_of(ledger: MinedLedger) -> Floats:
    """The known positives' scores, by the teacher where there is one."""
    known = ledger.known_positives
    scores = known.scores[:, 0] if known.teacher_scores is None else known.teacher_scores
    return scores[~np.isnan(scores)]


def default(recipe: Recipe, positives: Floats) -> tuple[str, Sequence[Any]] | None:
    """(setting, values) of the last filter that has a limit; None where there is none."""
    for i, step in reversed(list(enumerate(recipe.filters))):
        if (varied := step.variations(positives)) is not None:
            setting, values = varied
            return f"filters.{i}.{setting}", values
    return None


def _same(recipe: Recipe, one: str, other: str) -> bool:
    """Whether two names mean one setting: "filters.margin.relative" and "filters.0.relative"."""
    try:
        changed = [recipe.with_settings([f"{name}=0.123"]) for name in (one, other)]
    except InputError:
        return False
    return changed[0] == changed[1]
