"""A policy over the ledger of a finished run: candidates and scores are read, no model is asked."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hfneg.base.arrays import Floats, Ints, Mask
from hfneg.base.lists import Lists
from hfneg.base.store.scores import ScoreStore, pair_keys
from hfneg.data.anchors import Anchors
from hfneg.errors import NeedsTeacher, SettingError
from hfneg.pipeline.policy import Policy, Selection
from hfneg.pipeline.retrieve import Retrieve
from hfneg.runs.folder.ledger_files import LedgerBlock, MinedLedger
from hfneg.runs.hub_counts import Cuts, save_array, tally, write_cuts
from hfneg.steps.block import verdicts
from hfneg.steps.block.pool import Pool, Taught
from hfneg.steps.scorer import SAMPLE, Scorer
from hfneg.steps.short import Keep, Means, Short
from hfneg.steps.teachers.base import Received, Teacher


@dataclass(frozen=True, repr=False)
class LedgerTeacher(Teacher):
    """The teacher of a finished run: its name and scale, and no model.

    Args:
        text: what the recipe calls it.
        kept_digest, kept_scale: of the teacher whose scores the ledger holds.
        of: the same of each member of an ensemble.
    """

    text: str
    kept_digest: str
    kept_scale: str
    of: tuple[LedgerTeacher, ...] = ()

    @classmethod
    def of_summary(cls, facts: dict[str, Any]) -> LedgerTeacher:
        """From ``summary["teacher"]``."""
        scale = facts["scale"]
        members = tuple(cls(f"member {digest[:12]}", digest, scale) for digest in facts.get("members", ()))
        return cls(facts["teacher"], facts["digest"], scale, members if len(members) > 1 else ())

    @property
    def digest(self) -> str:
        return self.kept_digest

    @property
    def resolved_scale(self) -> str:
        return self.kept_scale

    @property
    def members(self) -> tuple[Teacher, ...]:
        return self.of or (self,)

    def __repr__(self) -> str:
        return self.text

    def _score(self, anchors: list[str], documents: list[str], done: Received) -> None:
        raise NeedsTeacher(f"{self.text} is known by the scores in a ledger only; it cannot score {len(anchors)} pairs")


class Unscored(Exception):  # noqa: N818 - caught here, never seen outside
    """Candidates that were asked for and have no score: bool, one per candidate of the block."""

    def __init__(self, missing: Mask) -> None:
        super().__init__(missing)
        self.missing = missing


class LedgerScorer(Scorer):
    """Answers from the block at hand."""

    def __init__(self, anchors: Anchors, teacher: LedgerTeacher, ledger: MinedLedger, single: bool) -> None:
        super().__init__(anchors, teacher)
        self._ledger, self._single = ledger, single
        self.block: LedgerBlock | None = None

    def open(self, pool: Pool) -> None:
        assert self.block is not None
        pool.known = self.known_positives
        pool.positive_teacher_scores = self.block.positive_teacher_scores
        pool.teacher_scores = np.full(len(pool), np.nan, dtype=np.float32)
        if self._single:
            none = np.full(len(pool), np.nan, dtype=np.float32)
            positives = pool.positives
            known = self._of_members(pool.anchors, pool.numbers[positives.owners], positives.flat)
            _refuse_unknown(known, "known positives")
            pool.teachers = [Taught(none.copy(), scores) for scores in known]

    def examine(self, pool: Pool, wanted: Mask) -> None:
        assert self.block is not None
        assert self.block.teacher_scores is not None
        assert pool.teacher_scores is not None
        scores = self.block.teacher_scores
        missing = wanted & np.isnan(scores)
        pairs = pool.numbers[pool.owners[wanted]], pool.rows[wanted]
        members = self._of_members(pool.anchors, *pairs) if pool.teachers else []
        for values in members:
            missing[np.flatnonzero(wanted)[np.isnan(values)]] = True
        if missing.any():
            raise Unscored(missing)
        pool.teacher_scores[wanted] = scores[wanted]
        for taught, values in zip(pool.teachers, members, strict=True):
            taught.scores[wanted] = values
        self.stored += int(wanted.sum())

    def known_positives(self, member: int | None = None) -> Floats:
        return self._sample if member is None else self._member_samples[member]

    @cached_property
    def _sampled(self) -> tuple[Ints, Ints]:
        """(anchors, places among all known positives) of those that `Scorer.known_positives` takes."""
        known = self._ledger.known_positives.rows
        order = np.argsort(np.asarray(self.anchors.normal_hashes), kind="stable")[:SAMPLE]
        places = Lists(known.indptr, np.arange(len(known.flat))).take(order)
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
        scores = self._of_members(self.anchors, numbers, self._ledger.known_positives.rows.flat[places])
        _refuse_unknown(scores, "known positives")
        return scores

    def _of_members(self, anchors: Anchors, numbers: Ints, rows: Ints) -> list[Floats]:
        """Each member's scaled scores as the score store has them; NaN where it does not. No member is asked."""
        keys = pair_keys(np.asarray(anchors.text_hashes[numbers]), np.asarray(anchors.corpus.text_hashes[rows]))
        return [member.scaled(ScoreStore(member.digest).get(keys)) for member in self.teacher.members]


def _refuse_unknown(scores: list[Floats], what: str) -> None:
    lost = sum(int(np.isnan(values).sum()) for values in scores)
    if lost:
        raise NeedsTeacher(
            f"the filter compares the members of an ensemble, and the score store lacks {lost} of their scores of "
            f"{what} (the ledger keeps the combined ones only): mine again with the same recipe, which asks only for "
            "what is missing"
        )


class LedgerRetrieve(Retrieve):
    """The retrieving half of a finished run: the names of its sources, and what they can score."""

    def __init__(self, anchors: Anchors, ledger: MinedLedger) -> None:
        self.anchors, self.names = anchors, ledger.names
        self.retrievers, self.remine = (), True
        self._ledger = ledger

    def __repr__(self) -> str:
        return f"LedgerRetrieve({list(self.names)!r})"

    def scores_positives(self, position: int) -> bool:
        return not np.isnan(self._ledger.known_positives.scores[:, 1 + position]).any()


class Replay:
    """A policy over a ledger, block by block, in which nothing is retrieved and no teacher is asked.

    Args:
        ledger: of a finished run.
        policy: guard, filters, sampler; its teacher, where there is one, a `LedgerTeacher`.
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
        parts = (policy.filters, policy.sampler, policy.guard, policy.teacher, policy.promote)
        self._policies = [policy] if policy.why_not_lazy is not None else [Policy(*parts, lazy=False), policy]
        self.scorer: LedgerScorer | None = None
        if policy.teacher is not None:
            assert isinstance(policy.teacher, LedgerTeacher)
            single = any(step.least_teachers > 1 for step in policy.filters)
            self.scorer = LedgerScorer(anchors, policy.teacher, ledger, single)

    def run(self, block: LedgerBlock, anchors: Anchors | None = None) -> Selection:
        """Verdicts and negatives of a block's anchors; `anchors` is a view that knows the block's numbers.

        Raises Unscored where the policy needs a candidate that has no teacher score.
        """
        if self.scorer is not None:
            self.scorer.block = block
        for policy in self._policies[:-1]:
            try:
                return self._run(policy, block, anchors or self.anchors)
            except Unscored:
                pass
        return self._run(self._policies[-1], block, anchors or self.anchors)

    def _run(self, policy: Policy, block: LedgerBlock, anchors: Anchors) -> Selection:
        candidates = block.candidates
        if self._cuts is not None:
            candidates = dataclasses.replace(candidates, closed=self._cuts.closed(anchors, candidates))
        known = np.where(np.isin(block.verdicts, verdicts.GUARDED), block.verdicts, np.uint8(verdicts.SPARE))
        outcome = policy.outcome(anchors, candidates, self.scorer, known if self._same_guard else None)
        if (outcome.missing(policy.sampler.n) > 0).any():
            means = Means(n=policy.sampler.n, guard=policy.guard, scorer=self.scorer, score=_no_score)
            outcome = self.short.complete(outcome, means)
        return policy.selection(outcome)

    def missing(
        self, block: LedgerBlock, taken: Callable[[Ints], tuple[LedgerBlock, Anchors]] | None = None
    ) -> tuple[Ints, int]:
        """(positions in the block of the anchors that cannot be decided, pairs that they lack at least).

        `taken` gives some anchors of the block, by position, and the anchors that know them.
        """
        left, pairs = np.arange(len(block.numbers)), 0
        short: list[Ints] = []
        while len(left):
            rest, anchors = (block.take(left), self.anchors) if taken is None else taken(left)
            try:
                self.run(rest, anchors)
            except Unscored as unscored:
                owners = rest.candidates.owners[unscored.missing]
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
            candidates = block.retrieved().candidates
            if candidates.appended.any():
                raise SettingError(
                    f"Hubs(most={min(hubs)}) cannot be replayed over {self.ledger.folder}, which has lists of a deeper "
                    "search: mine again"
                )
            tallies.append(folder / f"{len(tallies):06d}.npy")
            save_array(tallies[-1], tally(self.anchors, candidates))
        write_cuts(tallies, min(hubs), len(self.anchors.corpus), folder)
        return Cuts(folder)


def _no_score(numbers: Ints, rows: Lists) -> Floats:
    raise NotImplementedError("documents that were not retrieved have no score in a ledger")


def with_all_scores(chosen: Selection, block: LedgerBlock) -> Selection:
    """The selection with every teacher score that the ledger has, also of what this policy did not need."""
    return dataclasses.replace(chosen, candidate_teacher_scores=block.teacher_scores)


def needs_teacher(folder: object, pairs: int, anchors: int, of: int) -> NeedsTeacher:
    """The error for scores that are not in the ledger."""
    return NeedsTeacher(
        f"the ledger of {folder} lacks teacher scores: at least {pairs:,} pairs of {anchors:,} of {of:,} anchors were "
        "never asked about, because enough candidates had survived before them, or other filters had dropped them. "
        "hfneg.examine(folder, teacher) (hfneg examine) has candidates scored, each pair once, with dropped=True "
        "(--dropped) also what other filters had dropped; or mine again with the new recipe"
    )
