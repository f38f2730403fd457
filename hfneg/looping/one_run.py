"""One run of the trainer, cut into the trainings of several rounds: optimiser, schedule and the rows' order go on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a trainer in `folder`; what a kill has left of a later one is deleted.

    The trainer writes ``trainer_state.json`` last.
    """
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    while found and _state(found[-1]) is None:
        shutil.rmtree(found.pop())
    return found[-1] if found else None


def steps_of(checkpoint: Path) -> tuple[int, int]:
    """(steps made, steps that the schedule is made for) of a whole checkpoint."""
    state = _state(checkpoint) or {}
    return int(state["global_step"]), int(state["max_steps"])


def end_of_part(done: int, total: int, parts: int) -> int:
    """Where the part that follows `done` steps ends, of `total` steps shared out over `parts`.

    >>> [end_of_part(done, 10, 3) for done in (0, 3, 6)]
    [3, 6, 10]
    """
    return next(end for end in (total * part // parts for part in range(1, parts + 1)) if end > done)


def _state(checkpoint: Path) -> dict[str, Any] | None:
    try:
        state: dict[str, Any] = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return state
