"""A step: small, immutable settings of one part of a recipe.

Steps are frozen dataclasses: checked when they are built, equal when their settings are equal, and their
``repr`` is valid recipe text (``TakeTop(n=7)``), so that a log line is the configuration.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from hfneg.steps.papers import Paper


class Step:
    """Base of retrievers, fusions, filters and samplers; subclasses are frozen dataclasses."""

    VERSION: ClassVar[int] = 1
    """Raise it when the same settings begin to mean something else: cached rows are then made again."""

    cites: ClassVar[tuple[Paper, ...]] = ()
    """Where the method comes from; cards cite it."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.settings(), "version": type(self).VERSION}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            if name != "version":
                object.__setattr__(self, name, value)

    def settings(self) -> dict[str, Any]:
        """The parameters by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]


class Judging(Step):
    """Base of the steps that look at candidates' scores: filters and samplers."""

    needs_teacher: ClassVar[bool] = False
    """Whether it reads the teacher's score, ``pool.score("teacher")``, though no setting ``by="teacher"`` says so."""

    def reads_teacher(self) -> bool:
        """Whether the teacher must be asked before it can work."""
        return self.needs_teacher or getattr(self, "by", None) == "teacher"

    def compares_with_positive(self) -> str | None:
        """The score ("score" or a source's name) whose value for the positive it needs, or None."""
        return None
