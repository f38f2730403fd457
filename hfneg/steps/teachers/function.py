"""`FunctionTeacher`: a Python function as teacher."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hfneg.base import store
from hfneg.base.memory import Halving
from hfneg.base.settings import check, is_whole
from hfneg.errors import ProcessError, SettingError
from hfneg.models.held import TOO_LARGE
from hfneg.steps.teachers.base import Received, Teacher

FORMAT = 1

_functions: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
"""Functions of this process by id, so that a copy made by pickle finds its function again."""


@dataclass(frozen=True, repr=False)
class FunctionTeacher(Teacher):
    """Scores by a function of yours: ``function(anchors, documents) -> scores``, one per pair.

    >>> def overlap(anchors, documents):
    ...     return [len(set(a.split()) & set(d.split())) for a, d in zip(anchors, documents)]
    >>> teacher = FunctionTeacher(overlap, id="word-overlap-1", scale="from_zero")
    >>> teacher.score(["a b"], ["b c"]).tolist()
    [1.0]

    Args:
        function: takes two lists of texts of the same length, at most `batch_size` long.
        id: names what the function computes; scores are stored under it. Give another one whenever the function
            begins to compute something else: hfneg cannot see that.
        scale: what its numbers are. "probability" applies a sigmoid; a judge that answers 0 to 1 is "from_zero".
        batch_size: pairs per call, halved where the function says that memory does not suffice.
        positives: also ask about the known positives. Without, as a judge with a limit of its own needs none
            (``Band(high=0.5, by="teacher")``), filters cannot compare with them.

    The function works in the process that made it. A recipe cannot hold it: for a teacher in a recipe subclass
    `Teacher` in a module of your own and name that by import path.

    Raises SettingError: no id, or something that cannot be called.
    """

    function: Callable[[list[str], list[str]], Sequence[float]]
    id: str
    scale: str | None = None
    batch_size: int = 1024
    positives: bool = True

    def __post_init__(self) -> None:
        check(isinstance(self.id, str) and bool(self.id), self, "id", self.id, "a text that names what it computes")
        if not callable(self.function):
            raise SettingError(
                f"FunctionTeacher(function={self.function!r}): function must be callable. A recipe cannot hold a "
                "function: subclass hfneg.Teacher in a module of your own and name it, my_package.my_module.MyTeacher()"
            )
        check(is_whole(self.batch_size, 1), self, "batch_size", self.batch_size, "a whole number from 1 up")
        check(isinstance(self.positives, bool), self, "positives", self.positives, "True or False")
        self._check_scale(self.scale)

    @property
    def asks_positives(self) -> bool:
        return self.positives

    @property
    def digest(self) -> str:
        return store.digest_of(FORMAT, "function", self.id)

    @property
    def resolved_scale(self) -> str:
        return self.scale or "raw"

    def _score(self, anchors: list[str], documents: list[str], done: Received) -> None:
        if self.function is None:
            raise ProcessError(
                f"the function of FunctionTeacher {self.id!r} lives in another process: run without num_proc and "
                "devices, or subclass hfneg.Teacher in a module of your own"
            )
        start, fits = 0, Halving(f"the function of FunctionTeacher {self.id!r}", TOO_LARGE)
        while start < len(anchors):
            some = anchors[start : start + self.batch_size], documents[start : start + self.batch_size]
            scores, n = fits.run(partial(self._first, *some), len(some[0]))
            done(range(start, start + n), scores)
            start += n

    def _first(self, anchors: list[str], documents: list[str], n: int) -> tuple[Sequence[float], int]:
        return self.function(anchors[:n], documents[:n]), n

    def _shown(self, settings: dict[str, Any]) -> dict[str, Any]:
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        return {**settings, "function": name}

    def __getstate__(self) -> dict[str, Any]:
        if self.function is not None:
            _functions[self.id] = self.function
        return {**super().__getstate__(), "function": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "function": _functions.get(state["id"])})
