"""A dataset whose negatives can be exchanged while a trainer reads it, in any number of processes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hfneg import store
from hfneg.corpus import Corpus

Rows = npt.NDArray[np.int64]

CURRENT = "current.json"
ROW = "row"


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

    def current(self) -> Rows:
        """int64 [rows, n], mapped."""
        path = self.folder / CURRENT
        stamp = os.stat(path).st_mtime_ns
        if stamp != self._seen[0]:
            version = json.loads(path.read_text(encoding="utf-8"))["version"]
            self._seen = (stamp, np.load(self.folder / f"{version:06d}.npy", mmap_mode="r"))
        negatives: Rows = self._seen[1]
        return negatives


def publish(folder: Path, version: int, negatives: Rows, facts: Mapping[str, Any]) -> None:
    """Write a version, then name it the current one; a reader sees the old one or the new one."""

    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            np.save(file, negatives)

    folder.mkdir(parents=True, exist_ok=True)
    store.replace_file(folder / f"{version:06d}.npy", write)
    store.write_json(folder / f"{version:06d}.json", {**facts, "version": version})
    store.write_json(folder / CURRENT, {**facts, "version": version})


def versions(folder: Path) -> list[dict[str, Any]]:
    """What was recorded of each version, in order."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("[0-9]*.json"))]


def forget_after(folder: Path, step: int) -> int | None:
    """Remove versions of later steps than `step`, and make the last of the others current; its number, if any."""
    last = None
    for facts in versions(folder):
        path = folder / f"{facts['version']:06d}.npy"
        if facts["step"] > step:
            path.with_suffix(".json").unlink()
            path.unlink(missing_ok=True)
        elif path.is_file():
            last = facts
    if last is not None:
        store.write_json(folder / CURRENT, last)
    return None if last is None else int(last["version"])
