"""A policy over the ledger of a finished run: candidates and scores are read, no model is asked."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from hfneg.base.arrays import Floats, Ints, Mask
from hfneg.base.lists import Lists
from hfneg.base.store.scores import ScoreStore, pair_keys
from hfneg.data.anchors import Anchors
from hfneg.errors import NeedsTeacher, SettingError
from hfneg.models.weights import require_models
from hfneg.pipeline.mine import check_scores
from hfneg.pipeline.policy import Policy
from hfneg.pipeline.recipe import Recipe
from hfneg.runs.folder.form import Taught
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.hub_counts import Cuts, save_array, tally, write_cuts
from hfneg.steps.block.block import Block
from hfneg.steps.scorer import SAMPLE, scored, unscored
from hfneg.steps.short import Keep, Resources, Short
from hfneg.steps.teachers.base import on_scale, why_no_relative_margin


@dataclass(frozen=True, repr=False)
class KeptTeacher:
    """What a finished run keeps of its teacher: the `TeacherFacts` that a policy needs, and no model.

    Attributes:
        text: what the recipe calls it.
        digest, resolved_scale: of the teacher whose scores the ledger holds.
        of: the same of each member of an ensemble.
        asks_positives: the ledger has its scores of the known positives.
    """

    text: str
    digest: str
    resolved_scale: str
    of: tuple[KeptTeacher, ...] = ()
    asks_positives: bool = True
    partial: bool = False  # where it was so, members' scores are missing, and that is said

    @classmethod
    def of_summary(cls, facts: Taught) -> KeptTeacher:
        """From ``summary["teacher"]``."""
        scale = facts["scale"]
        members = tuple(cls(f"member {digest[:12]}", digest, scale) for digest in facts.get("members", ()))
        asks = facts.get("asks_positives", True)
        return cls(facts["teacher"], facts["digest"], scale, members if len(members) > 1 else (), asks)

    def __repr__(self) -> str:
        return self.text

    @property
    def members(self) -> tuple[KeptTeacher, ...]:
        return self.of or (self,)

    @property
    def why_no_relative_margin(self) -> str | None:
        return why_no_relative_margin(self, self.resolved_scale)


class Unscored(Exception):  # noqa: N818 - caught here, never seen outside
    """Candidates that were asked for and have no score: bool, one per candidate of the block."""

    def __init__(self, missing: Mask) -> None:
        super().__init__(missing)
        self.missing = missing


class LedgerScores:
    """The teacher's scores that a finished run has left, in its ledger and, of an ensemble's members, in the store."""

    def __init__(self, ledger: MinedLedger, anchors: Anchors, policy: Policy) -> None:
        self.anchors, self._ledger = anchors, ledger
        self.teacher = KeptTeacher.of_summary(ledger.summary["teacher"])
        self.by_member = any(step.least_teachers > 1 for step in policy.filters)

    def known_positives(self, member: int | None = None) -> Floats:
        """Those that `TeacherScorer.known_positives` takes."""
        return self._sample if member is None else self._member_samples[member]

    def of_members(self, numbers: Ints, rows: Ints) -> list[Floats]:
        """Each member's scaled scores as the score store has them; NaN where it does not. No member is asked."""
        anchors = self.anchors
        keys = pair_keys(np.asarray(anchors.text_hashes[numbers]), np.asarray(anchors.corpus.text_hashes[rows]))
        raw = ((member, ScoreStore(member.digest).get(keys)) for member in self.teacher.members)
        return [on_scale(scores, member.resolved_scale, member) for member, scores in raw]

    @cached_property
    def _sampled(self) -> tuple[Ints, Ints]:
        """(anchors, places among all known positives)."""
        known = self._ledger.known_positives.rows
        order = np.argsort(np.asarray(self.anchors.normal_hashes), kind="stable")[:SAMPLE]
        places = known.places.take(order)
        return order[places.owners][:SAMPLE], places.flat[:SAMPLE]

    @cached_property
    def _sample(self) -> Floats:
        scores = self._ledger.known_positives.teacher_scores
        assert scores is not None
        taken: Floats = scores[self._sampled[1]]
        return taken

    @cached_property
    def _member_samples(self) -> list[Floats]:
        numbers, places = self._sampled
        scores = self.of_members(numbers, self._ledger.known_positives.rows.flat[places])
        _refuse_unknown(scores, "known positives")
        return scores


@dataclass(frozen=True)
class LedgerScorer:
    """A `Scorer` of one block of a ledger: it looks its candidates' scores up, in their places."""

    block: Block
    scores: LedgerScores

    def opened(self, block: Block) -> Block:
        if block.teacher_scores is not None:
            return block
        assert self.block.positive_teacher_scores is not None
        members: list[Floats] = []
        if self.scores.by_member:
            members = self.scores.of_members(block.numbers[block.positives.owners], block.positives.flat)
            _refuse_unknown(members, "known positives")
        return unscored(block, self.block.positive_teacher_scores, members)

    def examined(self, block: Block, wanted: Mask) -> Block:
        assert self.block.teacher_scores is not None
        scores = self.block.teacher_scores[wanted]
        lacking, members = np.isnan(scores), list[Floats]()
        if self.scores.by_member:
            members = self.scores.of_members(block.numbers[block.owners[wanted]], block.rows[wanted])
            lacking = np.logical_or.reduce([lacking, *(np.isnan(values) for values in members)])
        if lacking.any():
            missing = wanted.copy()
            missing[wanted] = lacking
            raise Unscored(missing)
        return scored(block, wanted, scores, members)

    def score(self, numbers: Ints, rows: Ints) -> Floats:
        raise NotImplementedError("a ledger has scores of its own candidates only")

    def known_positives(self, member: int | None = None) -> Floats:
        return self.scores.known_positives(member)


def _refuse_unknown(scores: list[Floats], what: str) -> None:
    lost = sum(int(np.isnan(values).sum()) for values in scores)
    if lost:
        raise NeedsTeacher(
            f"the filter compares the members of an ensemble, and the score store lacks {lost} of their scores of "
            f"{what} (the ledger keeps the combined ones only): mine again with the same recipe, which asks only for "
            "what is missing"
        )


class Replay:
    """A policy over a ledger, block by block, in which nothing is retrieved and no teacher is asked.

    Args:
        ledger: of a finished run.
        policy: guard, filters, sampler; its teacher, where there is one, a `KeptTeacher`.
        anchors: of that run, see `hfneg.runs.folder.reopen`.
        short: what becomes of anchors that get too few, `Keep` or `Relax`.
        same_guard: the ledger's verdicts are of this policy's guard, so that no text need be read.

    Verdicts are given to all candidates of a block where the ledger has scores of all that are asked for; else the
    policy is run as `mine` does, which asks no further than needed. The negatives are the same.
    """

    def __init__(
        self,
        ledger: MinedLedger,
        policy: Policy,
        anchors: Anchors,
        *,
        short: Short | None = None,
        same_guard: bool = False,
    ) -> None:
        self.ledger, self.policy, self.anchors = ledger, policy, anchors
        self.short = Keep() if short is None else short
        self._same_guard = same_guard
        self.scores = None if policy.teacher is None else LedgerScores(ledger, anchors, policy)

    def run(self, block: Block) -> Block:
        """A ledger's block with this policy's verdicts, negatives and the scores that it needed.

        Raises Unscored where the policy needs a candidate that has no teacher score.
        """
        scorer = None if self.scores is None else LedgerScorer(block, self.scores)
        fresh = block.undecided()
        if not self._same_guard:
            fresh = self.policy.guard.marked(self.anchors, fresh)
        if self._cuts is not None:
            fresh = dataclasses.replace(fresh, closed=self._cuts.closed(self.anchors, fresh))
        if self.policy.why_not_lazy is None:
            with contextlib.suppress(Unscored):
                return self._run(fresh, scorer, lazy=False)
        return self._run(fresh, scorer, lazy=True)

    def _run(self, block: Block, scorer: LedgerScorer | None, *, lazy: bool) -> Block:
        policy = self.policy
        block = policy.decided(self.anchors, block, scorer, lazy=lazy)
        if not len(block.short(policy.sampler.n)):
            return block
        resources = Resources(self.anchors, policy.sampler.n, policy.guard, scorer, _no_score, policy.kept_by_teacher)
        return self.short.complete(block, resources)

    def missing(self, block: Block) -> tuple[Ints, int]:
        """(positions in the block of the anchors that cannot be decided, pairs that they lack at least)."""
        left, pairs = np.arange(len(block.numbers)), 0
        short: list[Ints] = []
        while len(left):
            rest = block.take(left)
            try:
                self.run(rest)
            except Unscored as unscored:
                owners = rest.owners[unscored.missing]
                pairs += len(owners)
                at = np.unique(owners)
                short.append(left[at])
                left = np.delete(left, at)
            else:
                break
        return np.sort(np.concatenate([*short, np.empty(0, dtype=np.int64)])), pairs

    @cached_property
    def _cuts(self) -> Cuts | None:
        """Where `Hubs` is among the filters: one pass over all lists."""
        hubs = self.policy.hub_limits
        if not hubs:
            return None
        self._scratch = tempfile.TemporaryDirectory(prefix="hfneg-hubs-")  # as long as this object
        folder = Path(self._scratch.name)
        tallies: list[Path] = []
        for block in self.ledger.blocks():
            found = block.retrieved()
            if found.appended.any():
                raise SettingError(
                    f"Hubs(most={min(hubs)}) cannot be replayed over {self.ledger.folder}, which has lists of a deeper "
                    "search: mine again"
                )
            tallies.append(folder / f"{len(tallies):06d}.npy")
            save_array(tallies[-1], tally(self.anchors, found))
        write_cuts(tallies, min(hubs), len(self.anchors.corpus), folder)
        return Cuts(folder)


def replayed_policy(source: MinedLedger, recipe: Recipe, anchors: Anchors) -> Policy:
    """The policy of a recipe over a finished run; it checks that every score that a step names is there."""
    teacher = KeptTeacher.of_summary(source.summary["teacher"]) if source.taught else None
    policy = Policy(recipe.filters, recipe.sampler, recipe.guard, teacher, recipe.promote)
    for step in policy.filters:
        step.check_anchors(anchors)
    require_models(*policy.filters)
    check_scores(policy, source.names, lambda i: not np.isnan(source.known_positives.scores[:, 1 + i]).any())
    return policy


def _no_score(numbers: Ints, rows: Lists) -> Floats:
    raise NotImplementedError("documents that were not retrieved have no score in a ledger")


def needs_teacher(folder: object, pairs: int, anchors: int, of: int) -> NeedsTeacher:
    """The error for scores that are not in the ledger."""
    return NeedsTeacher(
        f"the ledger of {folder} lacks teacher scores: at least {pairs:,} pairs of {anchors:,} of {of:,} anchors were "
        "never asked about, because enough candidates had survived before them, or other filters had dropped them. "
        "hfneg.examine(folder, teacher) (hfneg examine) has candidates scored, each pair once, with dropped=True "
        "(--dropped) also what other filters had dropped; or mine again with the new recipe"
    )
