"""Several teachers as one: the mean or the least of their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hfneg.base import store
from hfneg.base.settings import check
from hfneg.errors import SettingError
from hfneg.steps.teachers.base import Received, Scores, Teacher

FORMAT = 1


@dataclass(frozen=True, repr=False)
class Ensemble(Teacher):
    """Base of the combinations; a subclass says how several scaled scores become one.

    Members are combined by what filters see (``scaled``), never by raw outputs, so all must be on one scale. Whoever
    stores scores keeps the members' raw ones (`members`) and calls `combine`: another combination, or another scale,
    then costs no call. `score` gives the combination itself, which is on the members' scale already.

    Args:
        teachers: at least one teacher; an ensemble counts as a teacher.

    Raises SettingError: none, something else, or members of several scales.
    """

    teachers: tuple[Teacher, ...]

    def __post_init__(self) -> None:
        given = self.teachers
        teachers = tuple(given) if isinstance(given, list | tuple) else given
        right = isinstance(teachers, tuple) and teachers and all(isinstance(t, Teacher) for t in teachers)
        check(bool(right), self, "teachers", given, "a list of at least one teacher")
        object.__setattr__(self, "teachers", teachers)

    @property
    def digest(self) -> str:
        parts = [[teacher.digest, teacher.resolved_scale] for teacher in self.teachers]
        return store.digest_of(FORMAT, type(self).__name__, parts)

    @property
    def resolved_scale(self) -> str:
        names = {teacher.resolved_scale for teacher in self.teachers}
        if len(names) > 1:
            said = ", ".join(f"{teacher!r} is on {teacher.resolved_scale!r}" for teacher in self.teachers)
            raise SettingError(f"{type(self).__name__} needs members of one scale: {said}; pass scale= to its members")
        return names.pop()

    @property
    def members(self) -> tuple[Teacher, ...]:
        return tuple(member for teacher in self.teachers for member in teacher.members)

    @property
    def asks_positives(self) -> bool:
        return all(teacher.asks_positives for teacher in self.teachers)

    def scaled(self, raw: Any) -> Scores:
        """Its own scores are scaled already."""
        return np.asarray(raw, dtype=np.float32)

    def combine(self, scaled: Sequence[Scores]) -> Scores:
        _ = self.resolved_scale
        if len(scaled) != len(self.members):
            raise SettingError(f"{len(scaled)} arrays of scores for {len(self.members)} members; one each was expected")
        ends = np.cumsum([len(teacher.members) for teacher in self.teachers])
        parts = [scaled[end - len(t.members) : end] for t, end in zip(self.teachers, ends.tolist(), strict=True)]
        return self._combined([t.combine(part) for t, part in zip(self.teachers, parts, strict=True)])

    def _combined(self, scores: list[Scores]) -> Scores:
        raise NotImplementedError

    def _score(self, anchors: list[str], documents: list[str], done: Received) -> None:
        _ = self.resolved_scale
        scaled = [member.scaled(member.score(anchors, documents)) for member in self.members]
        done(range(len(anchors)), self.combine(scaled))


@dataclass(frozen=True, repr=False)
class MeanOfTeachers(Ensemble):
    """The mean of the members' scaled scores (in float64, rounded to float32).

    >>> from hfneg.steps.teachers import FunctionTeacher
    >>> def short(anchors, documents): return [1 / len(d) for d in documents]
    >>> def even(anchors, documents): return [0.5] * len(documents)
    >>> mean = MeanOfTeachers([FunctionTeacher(short, id="short-1"), FunctionTeacher(even, id="even-1")])
    >>> mean.score(["q"], ["d"]).tolist()
    [0.75]
    """

    def _combined(self, scores: list[Scores]) -> Scores:
        mean: Scores = np.mean(np.stack(scores).astype(np.float64), axis=0).astype(np.float32)
        return mean


@dataclass(frozen=True, repr=False)
class MinOfTeachers(Ensemble):
    """The least of the members' scaled scores: high only where all members say relevant."""

    def _combined(self, scores: list[Scores]) -> Scores:
        least: Scores = np.min(np.stack(scores), axis=0)
        return least
