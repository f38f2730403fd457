"""Callbacks of the trainer: what ends a training before its schedule does, and what makes its checkpoints trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from hfneg.training import parts

KEPT = 2
"""Whole checkpoints that stay while a training runs: should the last one be damaged, there is one before it."""


class StopAt(TrainerCallback):  # type: ignore[misc]
    """Ends ``train()`` after so many steps of the run, with a checkpoint, however many the schedule is made for."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step >= self.step:
            control.should_save = control.should_training_stop = True


class MarkWhole(TrainerCallback):  # type: ignore[misc]
    """Marks a checkpoint when all of it is written, and only then deletes older ones.

    With it the trainer must have no ``save_total_limit``, which deletes the one before as soon as the new one's files
    are there. What was saved at a step is not saved again at the end of the epoch, into the same folder.
    """

    def __init__(self) -> None:
        self._saved = -1

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._saved = state.global_step
        if state.is_world_process_zero:
            parts.mark(Path(args.output_dir) / f"checkpoint-{state.global_step}")
            parts.keep_last(Path(args.output_dir), KEPT)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._saved == state.global_step:
            control.should_save = False
