"""Run by tests as a process of its own: three rounds that kill themselves with SIGKILL in round 2.

    rounds_until_killed.py BASE OUT MOMENT

MOMENT: "mining", "training", "saving", "recording" or "never". Each training is said on stdout. Goes on where an
earlier one was killed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer
from test_rounds import run, trained

import hfneg
from hfneg.base import store
from hfneg.runs import units

BASE, OUT, MOMENT = sys.argv[1:]
TRAINED: list[int] = []


def die(moment: str) -> None:
    if moment == MOMENT:
        os.kill(os.getpid(), signal.SIGKILL)


def train(round: hfneg.Round) -> Any:
    os.write(1, f"{round.number}\n".encode())
    TRAINED.append(round.number)
    if round.number == 2:
        die("training")
    return trained(round)


choose, save, write = units.Choose.__call__, SentenceTransformer.save_pretrained, store.write_json


def choosing(self: Any, part: int) -> Any:
    if TRAINED == [1]:
        die("mining")
    return choose(self, part)


def saving(self: Any, path: str, **given: Any) -> Any:
    if MOMENT == "saving" and TRAINED[-1:] == [2]:
        Path(path).mkdir()
        (Path(path) / "half").write_text("")
        die("saving")
    return save(self, path, **given)


def recording(path: Path, value: Any, **given: Any) -> None:
    if MOMENT == "recording" and TRAINED[-1:] == [2] and path.name == "round.json":
        path.with_name(f".{path.name}.half.partial").write_text("{")
        die("recording")
    write(path, value, **given)


units.Choose.__call__ = choosing  # type: ignore[method-assign]
SentenceTransformer.save_pretrained = saving
store.write_json = recording

if __name__ == "__main__":
    run(BASE, Path(OUT), train=train, resume=Path(OUT).exists())
