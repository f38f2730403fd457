"""The vectors of a source of texts, kept in the store and keyed by the weights that made them.

They are written in parts of fixed row ranges, one ``.npy`` file each. A part is encoded whole, in one
call over its rows, so its values depend neither on who asked for which rows nor on the order; a killed
run keeps its finished parts, and several processes build different parts at once. Unlike other artefacts
the folder is there before it is full: each FILE in it is complete, and ends with its own checksum (a seal,
`hfneg.base.files.checksums`). A part that is damaged is set aside and encoded again when it is first read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from filelock import Timeout

from hfneg.base import store
from hfneg.base.arrays import Ints
from hfneg.base.files import checksums, disk
from hfneg.base.files.checksums import Fault
from hfneg.base.store.layout import LOCKS
from hfneg.base.store.old_files import part_fault
from hfneg.errors import SettingError
from hfneg.models.encoder import Encoder, Role

FORMAT = 1
PART_ROWS: dict[Role, int] = {"document": 8_192, "query": 1_024}

Vectors32 = npt.NDArray[np.float32]


class TextSource(Protocol):
    """Numbered texts with a digest: a `Corpus`, an `Anchors`. With ``ids(rows)`` errors name documents."""

    digest: str

    def __len__(self) -> int: ...

    def text_slice(self, start: int, stop: int) -> pa.LargeStringArray: ...


class Vectors:
    """float32 [len(source), d] on disk, of `source` under `encoder` in one role.

    Args:
        source: where the texts come from.
        encoder: what turns them into vectors; its weights as they are now are what this object stands
            for, and it refuses to write anything of later weights.
        role: "document" or "query": which prompt is used.
        part_rows: rows per part; 8,192 documents or 1,024 queries.
    """

    def __init__(self, source: TextSource, encoder: Encoder, role: Role, part_rows: int | None = None) -> None:
        self.source = source
        self.encoder = encoder
        self.role: Role = role
        self.part_rows = part_rows or PART_ROWS[role]
        self._encoded_by = encoder.role_digest(role)
        self.digest = store.digest_of(FORMAT, self._encoded_by, role, source.digest, self.part_rows)

    def __repr__(self) -> str:
        return f"Vectors({self.source!r}, {self.encoder!r}, {self.role!r}, digest={self.digest[:12]})"

    def __len__(self) -> int:
        return len(self.source)

    @property
    def folder(self) -> Path:
        return store.artefact("vectors", self.digest)

    @property
    def n_parts(self) -> int:
        return -(-len(self) // self.part_rows)

    def bounds(self, i: int) -> tuple[int, int]:
        """First row of part `i`, and the row behind its last."""
        return i * self.part_rows, min((i + 1) * self.part_rows, len(self))

    # Building.

    def missing_parts(self) -> list[int]:
        """Numbers of the parts that nobody has finished yet."""
        there = set(os.listdir(self.folder)) if self.folder.is_dir() else set()
        return [i for i in range(self.n_parts) if self._path(i).name not in there]

    def build(self, desc: str | None = None) -> None:
        """Encode what is missing, with one progress bar in texts.

        Parts that another process has begun are left to it; at the end its result is waited for.
        """
        missing = self.missing_parts()
        if not missing:
            return
        from datasets.utils import tqdm

        left = sum(self._length(i) for i in missing)
        label = desc or f"Encoding {'documents' if self.role == 'document' else 'queries'}"
        with tqdm(total=len(self), initial=len(self) - left, desc=label, unit=" texts", unit_scale=True) as bar:
            for wait in (False, True):
                for i in list(missing):
                    if self.build_part(i, wait=wait):
                        missing.remove(i)
                        bar.update(self._length(i))

    @store.disk_full_is_said()
    def build_part(self, i: int, *, wait: bool = True) -> bool:
        """Encode part `i` unless it is there; False if another process holds its lock and `wait` is False.

        Raises ProcessError in a forked child, NonFiniteError naming the text, SettingError where the
        weights have changed since this object was made.
        """
        if self._is_whole(i):
            return True
        try:
            with store.lock("vectors", f"{self.digest}.{i % LOCKS}").acquire(timeout=-1 if wait else 0):
                if not self._is_whole(i, set_aside=True):
                    self._write_part(i)
        except Timeout:
            return False
        return True

    def _is_whole(self, i: int, *, set_aside: bool = False) -> bool:
        """Whether part `i` is there and whole; with `set_aside` (under its lock) a damaged one is moved away."""
        path = self._path(i)
        if not os.path.lexists(path):
            return False
        with store.unreadable_is_said():
            fault = part_fault(path) or self._misshapen(path, i)
        if fault is not None and set_aside:
            store.set_aside(fault, path)
        return fault is None

    def _misshapen(self, path: Path, i: int) -> Fault | None:
        vectors, expected = np.load(path, mmap_mode="r"), (self._length(i), self.dimensions)
        if vectors.shape == expected and vectors.dtype == np.float32:
            return None
        return Fault(path, f"it holds {vectors.dtype} {vectors.shape} instead of float32 {expected}")

    def _write_part(self, i: int) -> None:
        start, stop = self.bounds(i)
        texts = self.source.text_slice(start, stop).to_pylist()
        vectors = self.encoder.encode(
            texts, self.role, label=lambda position: self._label(start + position), expected=self._encoded_by
        )
        self.folder.mkdir(exist_ok=True)
        self._write_facts(vectors.shape[1])
        store.replace_file(self._path(i), lambda partial: _save(partial, vectors), at=self.folder)

    def _write_facts(self, dimensions: int) -> None:
        with store.lock("vectors", self.digest):  # others write other parts meanwhile
            facts = self._read_facts(set_aside=True)
            if facts is None:
                facts = {"rows": len(self), "dimensions": dimensions, "part_rows": self.part_rows, "role": self.role}
                facts |= {"weights": self.encoder.weights, "source": self.source.digest}
                store.write_json(self._facts, checksums.signed(facts), at=self.folder)
        if dimensions != facts["dimensions"]:
            known = facts["dimensions"]
            raise SettingError(f"the encoder gave {dimensions} dimensions and {known} before, for {self!r}")

    def _read_facts(self, *, set_aside: bool = False) -> dict[str, Any] | None:
        """None where they are missing or damaged; with `set_aside` (under the lock) damaged ones are moved away."""
        if not os.path.lexists(self._facts):
            return None
        try:
            return checksums.unsigned(json.loads(self._facts.read_bytes()))
        except PermissionError:
            raise
        except (OSError, ValueError, AttributeError) as error:
            if set_aside:
                store.set_aside(Fault(self._facts, str(error)), self._facts)
            return None

    def _label(self, row: int) -> str:
        ids = getattr(self.source, "ids", None)
        return f"{self.role} {ids([row])[0]!r} (row {row})" if ids is not None else f"{self.role} {row}"

    # Reading.

    @cached_property
    def dimensions(self) -> int:
        """d; builds the first part where nothing is there yet."""
        facts = self._read_facts()
        if facts is None:
            whole = (path for path in map(self._path, range(self.n_parts)) if path.exists() and not part_fault(path))
            path = next(whole, None)
            if path is None:
                self.build_part(0)
            else:
                self._write_facts(np.load(path, mmap_mode="r").shape[-1])
            facts = self._read_facts() or {}
        return int(facts["dimensions"])

    @property
    def nbytes(self) -> int:
        """Bytes of all vectors, built or not."""
        return len(self) * self.dimensions * 4

    def part(self, i: int) -> Vectors32:
        """float32 [rows of the part, d], mapped; encoded first if it is missing or damaged."""
        self.build_part(i)
        vectors: Any = np.load(self._path(i), mmap_mode="r")
        return vectors.view(np.ndarray)  # type: ignore[no-any-return]

    def rows(self, numbers: Sequence[int] | Ints) -> Vectors32:
        """float32 [len(numbers), d], C-contiguous; encodes the parts it needs."""
        wanted = np.asarray(numbers, dtype=np.int64)
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < len(self):
            raise IndexError(f"rows {wanted.min()} .. {wanted.max()} of {len(self)} vectors")
        out: Vectors32 | None = None
        for i, positions in by_part(wanted, self.part_rows):
            part = self.part(i)
            out = np.empty((len(wanted), self.dimensions), dtype=np.float32) if out is None else out
            out[positions] = part[wanted[positions] - i * self.part_rows]
        return np.empty((0, self.dimensions), dtype=np.float32) if out is None else out

    @property
    def _facts(self) -> Path:
        return self.folder / "vectors.json"

    def _path(self, i: int) -> Path:
        return self.folder / f"part-{i:06d}.npy"

    def _length(self, i: int) -> int:
        start, stop = self.bounds(i)
        return stop - start


def by_part(rows: Ints, part_rows: int) -> list[tuple[int, Ints]]:
    """(part, positions in `rows` that lie in it), by part; negative rows are left out."""
    parts = rows // part_rows
    order = np.argsort(parts, kind="stable")
    order = order[np.searchsorted(parts[order], 0) :]
    if not len(order):
        return []
    groups = np.split(order, np.flatnonzero(np.diff(parts[order])) + 1)
    return [(int(parts[group[0]]), group) for group in groups]


def _save(path: Path, vectors: Vectors32) -> None:
    disk.save_array(path, vectors)
    checksums.seal(path)
