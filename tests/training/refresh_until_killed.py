"""Run by tests as a process of its own: a training with `HardNegativeRefresh` that kills itself at a step.

    refresh_until_killed.py OUT STEP SAVE

STEP 0: never. SAVE: steps between checkpoints, 0 for none. The digest of the trained weights is said on stdout.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

from test_refresh import PAIRS, TEXTS, train
from transformers import TrainerCallback

import hfneg
from hfneg.training import refresh

OUT, STEP, SAVE = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])


def stepping(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
    if state.global_step == STEP:
        os.kill(os.getpid(), signal.SIGKILL)
    step(self, args, state, control, **kwargs)


step = refresh.HardNegativeRefresh.on_step_end
refresh.HardNegativeRefresh.on_step_end = stepping  # type: ignore[method-assign]
assert issubclass(refresh.HardNegativeRefresh, TrainerCallback)

if __name__ == "__main__":
    anchors = hfneg.Anchors(PAIRS, hfneg.Corpus.from_texts(TEXTS), anchor="query", positive="answer")
    saving = {"save_strategy": "steps", "save_steps": SAVE} if SAVE else {}
    trainer, done = train(anchors, OUT, **saving)
    state = hashlib.blake2b()
    for tensor in trainer.model.state_dict().values():
        state.update(tensor.numpy().tobytes())
    os.write(1, f"{state.hexdigest()} {[facts['step'] for facts in done.history]}\n".encode())
