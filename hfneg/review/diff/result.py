"""What `hfneg.diff` finds: the fates of a round's negatives, how the positives moved, and an advice with its rule."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hfneg import __version__

FATES = {
    "stayed": "is a negative again",
    "passed_over": "is still among the hard ones, but was not taken",
    "below_all": "is ranked below every new negative: easy now",
    "not_found": "is no longer found by the search: easy now",
    "rejected": "is dropped by the guard or a filter",
    "positive": "is a positive now",
    "not_in_corpus": "is not in the new corpus",
}
"""What can have become of an earlier negative; each has exactly one of these."""

EASY = ("below_all", "not_found")
DEPTHS = (1, 10, 100)
FALLEN = 0.95
"""Positives count as having fallen where their mean reciprocal rank is below this share of what it was."""

ABSENT = np.iinfo(np.int32).max
"""The rank of a document that is not in the list."""

Action = Literal["another_round", "stop", "raise_k", "check_training"]
Ranks = npt.NDArray[np.int32]


@dataclass
class Moves:
    """How the best known positive of each anchor is ranked in the two rounds, among all candidates.

    Attributes:
        anchors: counted.
        up, down, same: anchors whose positive moved towards the top, away from it, or not at all; a positive that is
            found in one round only has moved.
        found: anchors whose positive was found, in each round.
        within: depth -> anchors whose positive is at least that high, in each round.
        reciprocal: the sum of 1 / rank, in each round.
    """

    anchors: int = 0
    up: int = 0
    down: int = 0
    same: int = 0
    found: list[int] = field(default_factory=lambda: [0, 0])
    within: dict[int, list[int]] = field(default_factory=lambda: {depth: [0, 0] for depth in DEPTHS})
    reciprocal: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def add(self, before: Ranks, after: Ranks) -> None:
        """Ranks of the same anchors; ABSENT where a positive was not found."""
        self.anchors += len(before)
        self.up += int((after < before).sum())
        self.down += int((after > before).sum())
        self.same += int((after == before).sum())
        for i, ranks in enumerate((before, after)):
            known = ranks[ranks < ABSENT]
            self.found[i] += len(known)
            self.reciprocal[i] += float((1.0 / known).sum())
            for depth in DEPTHS:
                self.within[depth][i] += int((known <= depth).sum())

    @property
    def mrr(self) -> tuple[float, float]:
        """Mean reciprocal rank in each round; 0 for a positive that was not found."""
        n = max(self.anchors, 1)
        return self.reciprocal[0] / n, self.reciprocal[1] / n


@dataclass(frozen=True)
class Losses:
    """What hard negatives give a bi-encoder to learn: means over anchors of `hfneg.review.diff.loss.losses`.

    Attributes:
        before: of the earlier negatives, by the earlier model's scores.
        after: of the same negatives, by the later model's; those that it no longer finds count with the lowest score
            of their list, so this is the most that it can be.
        new: of the later negatives, by the later model's scores.
    """

    before: float
    after: float
    new: float


@dataclass(frozen=True)
class Side:
    """One of the two rounds, over all its anchors.

    `hardness` is the median of score of a negative minus mean score of the positives, by score.
    """

    name: str
    anchors: int
    candidates: int
    negatives: int
    verdicts: dict[str, int]
    sources: list[str]
    teacher: str | None
    hardness: dict[str, float]


@dataclass(frozen=True)
class Diff:
    """Two rounds compared over the anchors they share.

    Attributes:
        a, b: the earlier and the later round.
        negatives: of the earlier round, found by a search.
        fates: how many of them became what, see `FATES`.
        rejected_by: verdict -> how many of the rejected.
        new_negatives: of the later round that were none before.
        above_positive: earlier negatives that their own round ranked above the best positive.
        fell_below_positive: how many of these the later round ranks below it, or no longer finds.
        positives: where the best positive moved.
        short_anchors: shared anchors with fewer negatives than wanted in the later round (random ones not counted).
        losses: by bi-encoder that both rounds searched with, over the anchors that have negatives in both.
        changed: slots of the recipe in which the rounds differ ("corpus" where that differs).
        limits: ``settled`` and ``short`` of the rule.
    """

    a: Side
    b: Side
    shared_anchors: int
    negatives: int
    fates: dict[str, int]
    rejected_by: dict[str, int]
    new_negatives: int
    above_positive: int
    fell_below_positive: int
    positives: Moves
    short_anchors: int
    losses: dict[str, Losses]
    changed: list[str]
    limits: dict[str, float]

    def share(self, fate: str) -> float:
        """Of the earlier negatives; 0 where there were none."""
        return self.fates[fate] / self.negatives if self.negatives else 0.0

    @property
    def stayed(self) -> float:
        """Share of the earlier negatives that are negatives again."""
        return self.share("stayed")

    @property
    def churn(self) -> float:
        """Share of the earlier negatives that are none any more."""
        return 1.0 - self.stayed if self.negatives else 0.0

    @property
    def easy(self) -> float:
        """Share of the earlier negatives that became easy: no longer found, or ranked below all new negatives."""
        return sum(self.share(fate) for fate in EASY)

    @property
    def short(self) -> float:
        """Share of the shared anchors that have too few negatives in the later round."""
        return self.short_anchors / self.shared_anchors

    @property
    def action(self) -> Action:
        """What to do next; the first of the rules that holds, see `rule`."""
        before, after = self.positives.mrr
        if self.short > self.limits["short"]:
            return "raise_k"
        if after < FALLEN * before:
            return "check_training"
        return "stop" if self.stayed >= self.limits["settled"] else "another_round"

    @property
    def advice(self) -> str:
        """The action in words, with the numbers it rests on."""
        before, after = self.positives.mrr
        return {
            "raise_k": f"raise k (or deeper), or loosen the filters: {self.short:.0%} of the anchors have too few "
            "negatives",
            "check_training": f"look at the training first: the positives fell, mean reciprocal rank {before:.3f} "
            f"before, {after:.3f} now",
            "stop": f"stop: {self.stayed:.0%} of the negatives stayed, so another round would train on almost the same",
            "another_round": f"another round is worth it: {self.churn:.0%} of the negatives changed, {self.easy:.0%} "
            "became easy",
        }[self.action]

    @property
    def rule(self) -> str:
        """How the action is found."""
        return (
            f"raise k where more than {self.limits['short']:.0%} of the anchors are short; else look at the training "
            f"where the positives' mean reciprocal rank is below {FALLEN:.0%} of what it was; else stop where at least "
            f"{self.limits['settled']:.0%} of the negatives stayed; else another round"
        )

    @property
    def notes(self) -> list[str]:
        """What stands in the way of comparing."""
        notes = []
        missing = [self.a.anchors - self.shared_anchors, self.b.anchors - self.shared_anchors]
        if any(missing):
            notes.append(
                f"compared are {self.shared_anchors:,} anchors that both have; {missing[0]:,} are in {self.a.name} "
                f"only, {missing[1]:,} in {self.b.name} only"
            )
        if other := [slot for slot in self.changed if slot != "retrievers"]:
            notes.append(f"not the retriever alone changed: {', '.join(other)} differ, and account for some of this")
        if not self.changed:
            notes.append("both rounds have the same recipe; a model that was trained in place is not named in it")
        return notes

    def as_dict(self) -> dict[str, Any]:
        """All fields and the shares that follow from them, for JSON."""
        before, after = self.positives.mrr
        shares = {"stayed": self.stayed, "churn": self.churn, "easy": self.easy, "short": self.short}
        return {
            "hfneg": __version__,
            "action": self.action,
            "advice": self.advice,
            "rule": self.rule,
            "shares": {name: round(value, 6) for name, value in shares.items()},
            "mean_reciprocal_rank": [round(before, 6), round(after, 6)],
            "notes": self.notes,
            **asdict(self),
        }

    def to_json(self) -> str:
        """`as_dict` as text."""
        return json.dumps(self.as_dict(), indent=2, ensure_ascii=False)
