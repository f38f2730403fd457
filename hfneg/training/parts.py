"""One run of the trainer, cut into the trainings of several rounds: optimiser, schedule and the rows' order go on.

A checkpoint is gone on with where it is as it was saved: when the trainer has written all of it, a file with the sizes
and digests of all others is put into it. One that a kill has left half, or one with a file cut short, does not match.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

from hfneg.base.files import checksums, temporary
from hfneg.errors import OutputExistsError

log = logging.getLogger(__name__)

MARKER = "hfneg.json"
OURS = ".hfneg"
"""In a folder that a trainer of `Training` keeps its checkpoints in: without it they are somebody else's."""
CHECKPOINT = re.compile(r"checkpoint-([0-9]+)")


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a trainer in `folder` that is as it was saved."""
    for checkpoint in reversed(checkpoints(folder)):
        wrong = damage(checkpoint)
        if wrong is None:
            return checkpoint
        log.warning("%s is not gone on with: %s", checkpoint, wrong)
    return None


def checkpoints(folder: Path) -> list[Path]:
    """All that the trainer has begun to write there, the newest last."""
    found = [(int(named[1]), path) for path in folder.glob("*") if (named := CHECKPOINT.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def take(folder: Path) -> None:
    """Say that checkpoints in `folder` are hfneg's to delete. Raises OutputExistsError where some are not."""
    refuse_foreign(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / OURS).touch()


def refuse_foreign(folder: Path) -> None:
    """Raise OutputExistsError where a trainer has kept checkpoints in `folder` that was none of hfneg's."""
    if (folder / OURS).exists():
        return
    for path in checkpoints(folder):
        if not checksums.there(path / MARKER):
            raise OutputExistsError(f"{path} was not written by hfneg, which keeps its own there; move it elsewhere")


def mark(checkpoint: Path) -> None:
    """Say that all of a checkpoint is there."""
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != MARKER)
    checksums.write(checkpoint / MARKER, checkpoint, files)


def damage(checkpoint: Path) -> str | None:
    """Why a checkpoint is not what the trainer has saved, in words; None where it is."""
    if not checksums.there(checkpoint / MARKER):
        return "it was not saved to its end"
    fault = checksums.fault(checkpoint / MARKER, checkpoint)
    return None if fault is None else str(fault)


def keep_last(folder: Path, count: int) -> None:
    """Delete all but the last `count` whole checkpoints, and those that are not whole."""
    whole = [path for path in checkpoints(folder) if damage(path) is None]
    for path in checkpoints(folder):
        if path not in whole[-count:]:
            temporary.remove(path)


def forget(folder: Path) -> None:
    """Delete what a trainer has kept in `folder`, and the folder where nothing else is in it."""
    for path in checkpoints(folder):
        temporary.remove(path)
    if folder.is_dir():
        temporary.sweep_held(folder)
        (folder / OURS).unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()


def steps_of(checkpoint: Path) -> tuple[int, int]:
    """(steps made, steps that the schedule is made for) of a whole checkpoint."""
    state: dict[str, Any] = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    return int(state["global_step"]), int(state["max_steps"])


def end_of_part(done: int, total: int, parts: int) -> int:
    """Where the part that follows `done` steps ends, of `total` steps shared out over `parts`.

    >>> [end_of_part(done, 10, 3) for done in (0, 3, 6)]
    [3, 6, 10]
    """
    return next(end for end in (total * part // parts for part in range(1, parts + 1)) if end > done)
