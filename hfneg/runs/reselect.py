"""`reselect`: another policy over the ledger of a finished run, without a retriever and without a teacher."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import yaml

from hfneg.base import columns, store
from hfneg.base.files.part_files import whole
from hfneg.errors import RecipeError, SettingError, near_miss
from hfneg.pipeline.recipe import SLOTS, Recipe, as_mined
from hfneg.runs import work
from hfneg.runs.bars import SELECTING, WRITING, Bars
from hfneg.runs.folder import mined as mined_folder, statistics as statistics_of
from hfneg.runs.folder.form import Summary
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.folder.plan import Plan
from hfneg.runs.folder.provenance import models_of
from hfneg.runs.folder.reopen import reopen_anchors
from hfneg.runs.folder.summary import summarize
from hfneg.runs.folder.work_area import RunFolder, clear, taken
from hfneg.runs.replay import Replay, needs_teacher, replayed_policy
from hfneg.runs.work import ChosenParts
from hfneg.steps.block import verdicts
from hfneg.steps.block.block import Block
from hfneg.steps.filters import Filter
from hfneg.steps.guard import Guard
from hfneg.steps.samplers import Sampler
from hfneg.steps.short import Short

if TYPE_CHECKING:
    import datasets

POLICY = ("guard", "filters", "promote", "sampler", "short")
"""Slots of a recipe that say what becomes of the candidates; the others say where those come from."""

KEPT = ("columns", "positives_are", "reading", "rows", "anchors", "documents", "added_positives", "sources", "exact",
        "corpus", "datasets")  # fmt: skip
"""Of the first run's summary: what does not depend on the policy."""


@store.disk_full_is_said()
def reselect(
    mined: str | Path,
    *,
    out: str | Path,
    filters: Sequence[Filter] | Filter | None = None,
    sampler: Sampler | None = None,
    guard: Guard | None = None,
    short: Short | None = None,
    settings: Sequence[str] = (),
    corpus: Any = None,
    trust: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    wait: bool = False,
) -> datasets.Dataset | datasets.DatasetDict:
    """Choose negatives anew from the candidates in a mined folder's ledger; nothing is searched or scored again.

    ::

        hfneg.reselect("mined/", filters=[hfneg.Margin(relative=0.1)], sampler=hfneg.TakeTop(5), out="stricter/")

    What comes out is what `mine` gives with this policy, for the same candidates and teacher scores: a mined folder.
    Nothing is searched: where the first run has searched deeper, candidates from there count for the anchors that it
    did that for; of others that are short now the summary says how many.

    Args:
        mined: a folder that `mine` or `reselect` wrote. It is read only.
        out: the folder to write.
        filters, sampler, guard, short: of the new policy; what is left out stays as it was (`Fill` becomes `Keep`).
        settings: changes on top of that, as on the command line: ``["sampler.n=5", "filters.margin.relative=0.1"]``.
        corpus: what `mine` was given; needed only where the store no longer has it.
        trust: load components that the folder's recipe imports.
        resume, overwrite, wait: as for `mine`.

    Raises:
        NeedsTeacher: the policy asks for teacher scores that the ledger does not have; says how many. Nothing is
            written then.
        InputError and its kinds: no mined folder, or without a ledger; a policy that makes no sense here.
    """
    with taken(out, resume=resume, overwrite=overwrite, wait=wait):
        source = MinedLedger(mined)
        _refuse_itself(source, out)
        given = {"filters": filters, "sampler": sampler, "guard": guard, "short": short}
        policy = policy_recipe(source, given, settings, trust=trust)
        policy = _without_fill(policy, said=short is not None or any(text.startswith("short") for text in settings))
        anchors = reopen_anchors(source, corpus)
        chosen = replayed_policy(source, policy, anchors)
        replay = Replay(source, chosen, anchors, short=policy.short, same_guard=policy.guard == guard_of(source))
        _check_scores(source, replay)
        text = _recipe_text(source, policy)
        splits = mined_folder.open_rows(source.folder, several=True)
        run = RunFolder(out, _identity(source, text))
        if overwrite:
            clear(out)
        run.begin()
        if not run.complete:
            try:
                plan = Plan(
                    anchors=anchors,
                    policy=chosen,
                    names=source.names,
                    recipe=text,
                    short=repr(policy.short),
                    splits={name: _theirs(split) for name, split in splits.items()},
                    rows=source.summary["rows"],
                    hidden=source.summary["identity"]["hidden"],
                )
                _Run(run, source, replay, plan, policy.filters).work()
            finally:
                run.leave_if_idle()
        statistics_of.leave(run.out)
        return mined_folder.open_rows(Path(out), several=len(splits) > 1)


def policy_recipe(
    source: MinedLedger, given: Mapping[str, Any], settings: Sequence[str], *, trust: bool = False
) -> Recipe:
    """The policy slots of the folder's own recipe, with what was given in its place, and how long its lists are as `k`.

    Raises RecipeError for a setting of another slot, or a step of the folder's recipe that cannot be read.
    """
    for setting in settings:
        slot = setting.partition("=")[0].strip().split(".")[0]
        if slot in SLOTS and slot not in POLICY:
            raise RecipeError(
                f"{setting!r}: the candidates and their scores are those of {source.folder}; what can be changed is "
                f"{', '.join(POLICY)}. For another {slot} mine again{near_miss(slot, POLICY)}"
            )
    own = {name: value for name, value in slots_of(source).items() if name in POLICY and given.get(name) is None}
    try:
        slots = Recipe.slots(yaml.safe_dump(own), trust=trust)
    except RecipeError as error:
        raise RecipeError(
            f"the recipe of {source.folder} cannot be read ({error}); give that slot in Python, as in "
            "hfneg.reselect(..., filters=[...])"
        ) from error
    slots |= {name: value for name, value in given.items() if value is not None}
    searched = slots_of(source)  # how long lists can be, so that what cannot be had of them is refused
    k = max(searched.get("k", 1), searched.get("deeper") or 0) * len(source.names)
    return Recipe(**slots, k=k).with_settings(settings, trust=trust)


def slots_of(source: MinedLedger) -> dict[str, Any]:
    """The folder's recipe as text, slot by slot."""
    slots: dict[str, Any] = yaml.safe_load(as_mined(source.summary["recipe"]))
    return slots


def guard_of(source: MinedLedger) -> Guard:
    """The guard whose verdicts stand in the ledger."""
    return Recipe.from_yaml(yaml.safe_dump({"guard": slots_of(source)["guard"]})).guard


def _recipe_text(source: MinedLedger, policy: Recipe) -> str:
    """The folder's recipe with the policy's slots in place of its own."""
    new: dict[str, Any] = yaml.safe_load(policy.to_yaml())
    slots = {name: value for name, value in slots_of(source).items() if name not in POLICY}
    slots |= {name: new[name] for name in POLICY if name in new}
    ordered = {name: slots[name] for name in SLOTS if name in slots}
    text: str = yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=1_000_000)
    return text


def _refuse_itself(source: MinedLedger, out: str | Path) -> None:
    """To overwrite what is being read would be to lose it."""
    if os.path.realpath(source.folder) == os.path.realpath(out):
        raise SettingError(f"out={str(out)!r} is the mined folder itself, which is read; give another folder")


def _without_fill(policy: Recipe, *, said: bool) -> Recipe:
    """`Fill` draws what the ledger does not have: the first run's becomes `Keep`, one that was `said` is refused."""
    if not policy.short.draws:
        return policy
    if said:
        raise SettingError(
            f"{policy.short!r} draws documents that the ledger does not have, so that they would have to be scored: "
            "pass short=Keep() or Relax(), or mine again"
        )
    logging.getLogger(__name__).warning("%r of the first run is not replayed: short anchors stay short", policy.short)
    return policy.with_settings(["short=Keep()"])


def _theirs(split: Any) -> Any:
    """The rows without our columns."""
    return split.select_columns([name for name in split.column_names if name not in columns.OURS])


def _identity(source: MinedLedger, recipe: str) -> dict[str, Any]:
    """Everything the result depends on; `reopen_anchors` finds the digest of the anchors in it again."""
    before = source.summary["identity"]
    return {
        "format": 1,
        "recipe": recipe,
        "anchors": before["anchors"],
        "rows": before["rows"],
        "hidden": before["hidden"],
        "reselected": store.digest_of(source.summary),
    }


def _check_scores(source: MinedLedger, replay: Replay) -> None:
    """Raise NeedsTeacher before anything is written, where scores will be missing."""
    if replay.scores is None:
        return
    pairs = anchors = 0
    for block in source.blocks():
        if block.teacher_scores is not None and np.isnan(block.teacher_scores).any():
            at, lacking = replay.missing(block.retrieved())
            anchors, pairs = anchors + len(at), pairs + lacking
    if pairs:
        raise needs_teacher(source.folder, pairs, anchors, len(source))


class _Run:
    """A re-selection in its folder."""

    def __init__(self, folder: RunFolder, source: MinedLedger, replay: Replay, plan: Plan, filters: Sequence[Filter]):
        self.folder, self.source, self.replay, self.plan, self.filters = folder, source, replay, plan, filters
        self.bars = Bars([SELECTING, WRITING])

    def work(self) -> None:
        """From nothing, or from wherever an earlier run was cut off, to the finished folder."""
        selections = work.choose(self.folder, self.plan, self._choose)
        counts = work.write_rows(self.folder, self.plan, selections, self.bars)
        entries = self.folder.folder("finished", "ledger")
        summary = summarize(self.plan, selections, counts, entries, {"models": self._models()})
        work.finish(self.folder, self.plan, self._as_before(summary))

    def _choose(self, chosen: ChosenParts) -> int:
        """A part of ledger and selection per block of the source."""
        part = -1
        with self.bars.bar(SELECTING, " anchors", len(self.source)) as bar:
            for part, block in enumerate(self.source.blocks()):
                if not all(whole(chosen.files(part))):
                    self._choose_part(part, block.retrieved(), chosen)
                bar.update(len(block.numbers))
        return part + 1

    def _choose_part(self, part: int, before: Block, chosen: ChosenParts) -> None:
        block = self.replay.run(before)
        relaxed = block.owners[block.verdicts == verdicts.RELAXED]
        short = np.union1d(block.short(self.plan.n), relaxed)
        if self.source.taught:  # every score that the ledger has, also of what this policy did not need
            block = replace(block, teacher_scores=before.teacher_scores)
        shortfall = np.array([0, 0, 0, 0, len(short), 0, 0])
        chosen.write(part, self.plan.anchors, self.plan.policy, block, shortfall, np.zeros(3, dtype=np.int64))

    def _models(self) -> list[dict[str, Any]]:
        """The models of the first run and of the new policy."""
        known = self.source.summary.get("models", [])
        models = models_of(Recipe().model_copy(update={"filters": list(self.filters)}))
        return [*known, *(model for model in models if model not in known)]

    def _as_before(self, summary: Summary) -> Summary:
        """With what does not depend on the policy as the first run has said it."""
        before = self.source.summary
        summary = cast(Summary, {**summary, **{name: value for name, value in before.items() if name in KEPT}})
        if "deeper" in before:
            first = before["deeper"]
            summary["deeper"] = {
                "k": first["k"],
                "anchors": first["anchors"],
                "candidates": first["candidates"],
                "still_short": summary["short"]["anchors"],
            }
        summary["datasets"] = before.get("datasets", [])
        summary["reselected"] = {"recipe": before["recipe"], "run": self.folder.identity["reselected"]}
        return summary
