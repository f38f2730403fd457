"""A dataset whose negatives can be exchanged while a trainer reads it, in any number of processes."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hfneg.base.arrays import Ints
from hfneg.base.files import checksums, holding, part_files, temporary
from hfneg.data.corpus import Corpus
from hfneg.errors import DamagedError, OutputExistsError

CURRENT = "current.json"
TRAINING = "training.json"

ANEW = "copy the folder from where it is whole, or begin the training anew (overwrite=True)"

_holds: dict[str, contextlib.ExitStack] = {}
"""Folders that trainings of this process work in."""

VERSION = re.compile(r"[0-9]{6,}\.json")
ROW = "negative_1"
"""Where the table holds a row's number, as text: so its columns are those that its rows have, as samplers expect."""


class LiveNegatives:
    """A transform for ``Dataset.set_transform``: anchor, positive and the negatives that are current when it is called.

    The negatives lie in ``FOLDER/000003.npy`` (int64 [rows, n], rows of the corpus), and ``current.json`` names the
    file. Each reader looks at ``current.json`` per batch, so that also the workers of a DataLoader, persistent ones
    too, switch with the next batch they build. Pickles to the folder and a digest.
    """

    def __init__(self, folder: Path, corpus: Corpus, anchor: str, positive: str, n: int) -> None:
        self.folder, self.corpus = folder, corpus
        self.anchor, self.positive, self.n = anchor, positive, n
        self._seen: tuple[int, Any] = (0, None)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_seen": (0, None)}

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        rows = np.asarray(batch[ROW]).astype(np.int64)
        negatives = np.asarray(self.current()[rows])
        columns: dict[str, list[Any]] = {
            self.anchor: list(batch[self.anchor]),
            self.positive: list(batch[self.positive]),
        }
        texts = self.corpus.texts(negatives.T.reshape(-1)).to_pylist()
        for i in range(self.n):
            columns[f"negative_{i + 1}"] = texts[i * len(rows) : (i + 1) * len(rows)]
        return columns

    def current(self) -> Ints:
        """int64 [rows, n], mapped."""
        path = self.folder / CURRENT
        stamp = os.stat(path).st_mtime_ns
        if stamp != self._seen[0]:
            version = part_files.read_facts(path, ANEW)["version"]
            self._seen = (stamp, part_files.open_array(self.folder / f"{version:06d}.npy"))
        negatives: Ints = self._seen[1]
        return negatives


def publish(folder: Path, version: int, negatives: Ints, facts: Mapping[str, Any]) -> None:
    """Write a version, then name it the current one; a reader sees the old one or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    part_files.save_array(folder / f"{version:06d}.npy", negatives)
    part_files.save_facts(folder / f"{version:06d}.json", {**facts, "version": version})
    part_files.save_facts(folder / CURRENT, {**facts, "version": version})


def versions(folder: Path) -> list[dict[str, Any]]:
    """What was recorded of each version, in order. Raises DamagedError."""
    return [part_files.read_facts(path, ANEW) for path in _records(folder)]


def _records(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.json") if VERSION.fullmatch(path.name))


def refuse_used(folder: Path, output: str) -> None:
    """Raise OutputExistsError where a training has mined into the folder, unless it was lost (`is_lost`)."""
    if len(_records(folder)) > 1 and not is_lost(folder, output):
        raise OutputExistsError(
            f"{folder} holds negatives of an earlier training; give another folder, overwrite=True, or resume that "
            "training (resume_from_checkpoint)"
        )


def forget_all_but_first(folder: Path) -> None:
    """Remove all versions but the one that training begins with, whatever has become of them."""
    for path in _records(folder)[1:]:
        path.with_suffix(".npy").unlink(missing_ok=True)
        path.unlink()


def forget_after(folder: Path, step: int) -> int | None:
    """Remove versions of later steps than `step`, and make the last of the others current; its number, if any.

    Raises DamagedError, and removes nothing, where that one is not as it was written: other negatives would be other
    batches.
    """
    found = versions(folder)
    last = next((facts for facts in reversed(found) if facts["step"] <= step), None)
    if last is not None and (fault := checksums.seal_fault(_path(folder, last))) is not None:
        raise DamagedError(f"{fault}; {ANEW}, or resume from a checkpoint before step {last['step']}")
    for facts in found:
        if facts["step"] > step:
            _path(folder, facts).with_suffix(".json").unlink()
            _path(folder, facts).unlink(missing_ok=True)
    if last is not None:
        part_files.save_facts(folder / CURRENT, last)
    return None if last is None else int(last["version"])


def _path(folder: Path, facts: Mapping[str, Any]) -> Path:
    return folder / f"{facts['version']:06d}.npy"


def hold(folder: Path) -> None:
    """Keep other processes out until `let_go`; a training of this process that broke off lets go here.

    Raises InUseError where another process trains with the folder.
    """
    let_go(folder)
    hold = contextlib.ExitStack()
    hold.enter_context(holding.held(folder))
    temporary.sweep_held(folder)
    _holds[os.path.realpath(folder)] = hold


def let_go(folder: Path) -> None:
    """End what `hold` has begun."""
    _holds.pop(os.path.realpath(folder), contextlib.ExitStack()).close()


def begin(folder: Path, output: str) -> None:
    """Record that a training which keeps its checkpoints in `output` uses the folder."""
    part_files.save_facts(folder / TRAINING, {"output_dir": os.path.realpath(output), "ended": False})


def end(folder: Path) -> None:
    """Record that it has come to its end."""
    part_files.save_facts(folder / TRAINING, {**_training(folder), "ended": True})


def is_lost(folder: Path, output: str) -> bool:
    """Whether the folder is of a training into `output` that was cut off before its first whole checkpoint.

    Nobody can go on from there, so that the same script may begin again.
    """
    facts = _training(folder)
    saved = any(_is_json(path) for path in Path(output).glob("checkpoint-*/trainer_state.json"))
    return not saved and facts.get("output_dir") == os.path.realpath(output) and facts.get("ended") is False


def _training(folder: Path) -> dict[str, Any]:
    return part_files.load_facts(folder / TRAINING) or {}


def _is_json(path: Path) -> bool:
    """The trainer writes this file last in a checkpoint; half of it is none."""
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True
