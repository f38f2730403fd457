"""What an executor is: where units of work run. It knows nothing of mining, and mining nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol


class Executor(Protocol):
    """Runs `work(unit)` for every unit, in any order, each to its end or not at all.

    `work` is picklable and leaves its result in files that it renames into place, so a unit that was cut
    off is simply run again. `done(unit)` is called in this process after each finished unit. The first error
    of a unit ends the run and is raised; finished units stay finished.
    """

    def run(self, work: Callable[[Any], None], units: Sequence[Any], done: Callable[[Any], None]) -> None: ...

    @property
    def workers(self) -> int:
        """How many units run at the same time."""
        ...
