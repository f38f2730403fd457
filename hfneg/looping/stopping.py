"""What ends a training before its schedule does."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback


class StopAt(TrainerCallback):  # type: ignore[misc]
    """Ends ``train()`` after so many steps of the run, with a checkpoint, however many the schedule is made for."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step >= self.step:
            control.should_save = control.should_training_stop = True
