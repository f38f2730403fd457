"""Retrieve and select as one transform: a composition of steps is again a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hfneg import columns
from hfneg.batches import Lists
from hfneg.errors import SettingError, near_miss
from hfneg.pool import SCORE, TEACHER
from hfneg.retrieve import Retrieve
from hfneg.select import Select, mined_columns
from hfneg.transform import Transform, unique


class Mine(Transform):
    """``pairs.map(Mine(retrieve, select), batched=True)``: candidates never become columns.

    Checked when it is built: every score that a filter or the sampler names exists, and can be had for a
    positive where it is compared with one.
    """

    def __init__(self, retrieve: Retrieve, select: Select) -> None:
        self.retrieve = retrieve
        self.select = select
        self.anchors = retrieve.anchors
        self.remine = select.remine
        self._check_scores()

    def __repr__(self) -> str:
        return f"Mine({self.retrieve!r}, {self.select!r})"

    @property
    def needs(self) -> dict[str, str]:
        return {self.anchors.anchor: "anchor", self.anchors.positive: "positive"}

    @property
    def adds(self) -> tuple[str, ...]:
        kept = (*self.retrieve.adds, columns.CANDIDATE_VERDICTS) if self.select.keep_candidates else ()
        return (*self.select.policy_columns, *kept)

    def _new_columns(self, batch: Mapping[str, Any]) -> dict[str, Lists]:
        _ = self.retrieve.warned
        _, numbers, place = unique(self.anchors.numbers(batch))
        candidates = self.retrieve.run(numbers)
        chosen = self.select.run(candidates)
        new = mined_columns(self.anchors, batch, place, chosen, candidates.names)
        if self.select.keep_candidates:
            new |= {name: lists.take(place) for name, lists in candidates.columns(self.anchors).items()}
            new[columns.CANDIDATE_VERDICTS] = Lists(candidates.indptr, chosen.verdicts).take(place)
        return new

    def _check_scores(self) -> None:
        """Every score that a step names exists, and can be had for a positive where it is compared with one."""
        names = self.retrieve.names
        allowed = (SCORE, *((TEACHER,) if self.select.policy.teacher is not None else ()), *names)
        for step in (*self.select.policy.filters, self.select.policy.sampler):
            by = getattr(step, "by", SCORE)
            if by not in allowed:
                raise SettingError(
                    f"{step!r}: by={by!r} names no score; the scores are {', '.join(map(repr, allowed))}."
                    f"{near_miss(str(by), allowed)}"
                )
        for text, by in self.select.policy.compared_scores():
            name = names[0] if by == SCORE and len(names) == 1 else by
            if name in names and not self.retrieve.scores_positives(names.index(name)):
                raise SettingError(
                    f"{text} compares with the positive's score, but the source {name!r} cannot score a document it is "
                    "asked about; give it a method score(texts, rows), compare by another source, or use a filter that "
                    "needs no positive, such as RankWindow or Band"
                )
