"""Sorted runs of (128-bit key, float32) in files that never change.

A file is a header of 64 bytes and three arrays made to be mapped: the keys' high halves (uint64, ascending),
their low halves (uint64, ascending among equal high halves) and the scores (float32). No key is in it twice.
That is 20 bytes a score. Each array has room for ``capacity`` entries, of which the first ``count`` are used:
a merge learns only while it writes how many keys were in two of its inputs (the rest is a hole in the file).

Every later version keeps 64 bytes that begin with the same magic and version and end with their own checksum, so
a newer file can be told from a damaged one.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import struct
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash
from filelock import Timeout

from hfneg.base import store
from hfneg.base.arrays import Ints
from hfneg.base.files import checksums
from hfneg.base.hashing import Halves
from hfneg.errors import DamagedError, StoreError

VERSION = 1
MAGIC = b"hfnegscr"
HEADER = struct.Struct("<8sIIQQQQQ")  # magic, version, 0, count, capacity, checksums of the three arrays
HEADER_BYTES = 64  # HEADER and its own checksum
NAME = re.compile(r"(\d{12})-(\d{12})-[0-9a-f]{8}\.scores(\.damaged)?")
ENTRY_BYTES = 20
FEW = 4  # fewer segments than this are not merged
MERGE_ENTRIES = 1 << 18  # a merge holds about this many entries in memory, however many it merges

Scores = npt.NDArray[np.float32]


class ScoreBlock(NamedTuple):
    """Entries in ascending order of (high, low); three arrays of one length."""

    high: Halves
    low: Halves
    scores: Scores


class Segment:
    """One file, mapped: ``high``, ``low``, ``scores``, read-only; of the puts ``first`` to ``last``.

    Its header is checked whenever it is opened, the rest when it is opened for the first time in a process.

    Raises FileNotFoundError where it is gone (a merge replaced it), DamagedError, or StoreError where it cannot be
    read or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.first, self.last = span(path.name)
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                self.nbytes = status.st_size
                count, self._capacity, *self._sums = self._read_header(file)
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise
        except IsADirectoryError as error:
            raise self._damaged("it is no file") from error
        except OSError as error:
            raise StoreError(f"cannot read {path} ({error.strerror or error})") from error
        starts = _offsets(self._capacity)
        self.high: Halves = np.frombuffer(mapped, "<u8", count, starts[0])
        self.low: Halves = np.frombuffer(mapped, "<u8", count, starts[1])
        self.scores: Scores = np.frombuffer(mapped, "<f4", count, starts[2])
        digest = "".join(f"{number:016x}" for number in self._sums)
        if not checksums.is_known(status, digest):
            self.verify()
            checksums.remember(status, digest)

    def __len__(self) -> int:
        return len(self.scores)

    def _read_header(self, file: BinaryIO) -> tuple[int, ...]:
        """count, capacity and the three checksums."""
        header = file.read(HEADER_BYTES)
        if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
            raise self._damaged(f"{self.nbytes} bytes without the header of a segment")
        if _header_sum(header) != header[HEADER.size :]:
            raise self._damaged("its header does not match its checksum")
        _, version, _, *numbers = HEADER.unpack(header[: HEADER.size])
        if version > VERSION:
            raise StoreError(
                f"{self.path} has format {version}, and this hfneg reads up to {VERSION}: upgrade hfneg, or set "
                "HFNEG_STORE to another folder"
            )
        if self.nbytes != HEADER_BYTES + ENTRY_BYTES * numbers[1] or numbers[0] > numbers[1]:
            raise self._damaged(f"{self.nbytes} bytes instead of {HEADER_BYTES + ENTRY_BYTES * numbers[1]}")
        return tuple(numbers)

    def verify(self) -> None:
        """Read the whole file; raises DamagedError where a checksum differs."""
        parts: tuple[npt.NDArray[Any], ...] = self.high, self.low, self.scores
        for part, expected in zip(parts, self._sums, strict=True):
            if xxhash.xxh3_64_intdigest(part.data) != expected:
                raise self._damaged(f"the checksum of its {len(self):,} scores differs")

    def _damaged(self, what: str) -> DamagedError:
        return DamagedError(
            f"{self.path} is damaged ({what}). Its scores are lost, those in other files are not: "
            f"`hfneg store repair` sets it aside, and its pairs are scored again"
        )

    def find(self, high: Halves, low: Halves) -> Ints:
        """Where the keys are, int64 [n], -1 where they are not; fast when `high` is ascending."""
        found = np.full(len(high), -1, dtype=np.int64)
        position = np.searchsorted(self.high, high)
        searching = np.flatnonzero(self.high[np.minimum(position, len(self) - 1)] == high)
        position = position[searching]
        while len(searching):  # a second pass only over keys that share their high half with another one
            hit = self.low[position] == low[searching]
            found[searching[hit]] = position[hit]
            searching, position = searching[~hit], position[~hit] + 1
            alike = (position < len(self)) & (self.high[np.minimum(position, len(self) - 1)] == high[searching])
            searching, position = searching[alike], position[alike]
        return found

    def entries(self, start: int, stop: int) -> ScoreBlock:
        return ScoreBlock(self.high[start:stop], self.low[start:stop], self.scores[start:stop])


def ordered(block: ScoreBlock) -> ScoreBlock:
    """`block` sorted by key; of equal keys the first stays."""
    order = np.argsort(block.high, kind="stable")  # timsort: sorted runs are merged, not sorted again
    high = block.high[order]
    if not (high[1:] == high[:-1]).any():
        return ScoreBlock(high, block.low[order], block.scores[order])
    order = np.lexsort((block.low, block.high))
    high, low = block.high[order], block.low[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    return ScoreBlock(high[new], low[new], block.scores[order[new]])


def merged(segments: Sequence[Segment], entries: int = MERGE_ENTRIES) -> Iterator[ScoreBlock]:
    """All entries, ascending, in blocks of at most about `entries`; of equal keys that of the first segment.

    In each round every segment shows its next entries, and those up to the smallest of their last keys are taken:
    nothing below it can come later.
    """
    step = max(entries // max(len(segments), 1), 1)
    starts = [0] * len(segments)
    while any(start < len(segment) for start, segment in zip(starts, segments, strict=True)):
        heads = [segment.entries(start, start + step) for start, segment in zip(starts, segments, strict=True)]
        limit = min((int(head.high[-1]), int(head.low[-1])) for head in heads if len(head.high))
        taken = [_up_to(head, limit) for head in heads]
        starts = [start + len(head.high) for start, head in zip(starts, taken, strict=True)]
        yield ordered(ScoreBlock(*(np.concatenate(parts) for parts in zip(*taken, strict=True))))


def _up_to(block: ScoreBlock, limit: tuple[int, int]) -> ScoreBlock:
    """The entries of `block` whose keys are at most `limit`."""
    high, low = np.uint64(limit[0]), np.uint64(limit[1])
    below, alike = int(np.searchsorted(block.high, high)), int(np.searchsorted(block.high, high, side="right"))
    stop = below + int(np.searchsorted(block.low[below:alike], low, side="right"))
    return ScoreBlock(block.high[:stop], block.low[:stop], block.scores[:stop])


def due(segments: Sequence[Segment]) -> int | None:
    """Where the run to merge begins: at the oldest segment that weighs less than all after it together.

    What stays is at least as heavy as all after it, so there are at most FEW + log2(n) segments; and a score that
    is written again lands, from the second time on, in a segment at least twice as big: at most 1 + log2(n) times.
    """
    after = sum(map(len, segments))
    for i in range(len(segments) - FEW + 1):
        after -= len(segments[i])
        if len(segments[i]) < after:
            return i
    return None


def write(path: Path, capacity: int, blocks: Iterable[ScoreBlock]) -> None:
    """A segment of `blocks` (ascending, no key twice, at most `capacity` entries), on the disk when this returns.

    The arrays grow side by side, so no more than a block is in memory. Raises OSError.
    """
    sums = [xxhash.xxh3_64() for _ in ScoreBlock._fields]
    count = 0
    with contextlib.ExitStack() as stack:
        path.open("wb").close()
        files = [stack.enter_context(path.open("r+b")) for _ in ScoreBlock._fields]
        for file, offset in zip(files, _offsets(capacity), strict=True):
            file.seek(offset)
        for block in blocks:
            count += len(block.high)
            parts: tuple[npt.NDArray[Any], ...] = tuple(block)
            for file, state, part in zip(files, sums, parts, strict=True):
                state.update(part.data)
                file.write(part.data)
        for file in files:
            file.flush()
        header = HEADER.pack(MAGIC, VERSION, 0, count, capacity, *(state.intdigest() for state in sums))
        files[0].seek(0)
        files[0].write(header + _header_sum(header))
        files[0].truncate(HEADER_BYTES + ENTRY_BYTES * capacity)
        files[0].flush()
        os.fsync(files[0].fileno())


def fsync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power loss."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _offsets(capacity: int) -> tuple[int, int, int]:
    """Where the three arrays begin, in bytes."""
    return HEADER_BYTES, HEADER_BYTES + 8 * capacity, HEADER_BYTES + 16 * capacity


def _header_sum(header: bytes) -> bytes:
    return xxhash.xxh3_64_intdigest(header[: HEADER.size]).to_bytes(8, "little")


# Names: which puts a segment holds, and so which of the files in a folder count.


def name_of(first: int, last: int) -> str:
    return f"{first:012d}-{last:012d}-{uuid.uuid4().hex[:8]}.scores"


def span(name: str) -> tuple[int, int]:
    """The numbers of the first and last put in a segment."""
    return int(name[:12]), int(name[13:25])


def listing(folder: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(os.listdir(folder)))
    except FileNotFoundError:
        return ()


def next_number(names: Iterable[str]) -> int:
    """The number of the next put; damaged segments keep theirs."""
    return 1 + max((span(name)[1] for name in names if NAME.fullmatch(name)), default=0)


def live(names: Iterable[str]) -> list[str]:
    """The segments that count, in commit order."""
    kept: list[str] = []
    found = [name for name in names if NAME.fullmatch(name) and not name.endswith(".damaged")]
    for name in sorted(found, key=lambda name: (span(name)[0], -span(name)[1], name)):
        # Numbers are nested or apart, so what lies inside another segment lies inside the last one kept.
        if not kept or span(name)[1] > span(kept[-1])[1] or span(name) == span(kept[-1]):
            kept.append(name)
    return kept


def replaced(names: Iterable[str]) -> list[str]:
    """The segments that were merged into others."""
    names = [name for name in names if NAME.fullmatch(name) and not name.endswith(".damaged")]
    return sorted(set(names) - set(live(names)))


@contextlib.contextmanager
def writing(partial: Path | None = None) -> Iterator[None]:
    """An OSError inside becomes a DiskFullError or a StoreError that says what to do; `partial` is gone at the end."""
    try:
        with store.disk_full_is_said():
            yield
    except Timeout:  # an OSError, too
        raise
    except OSError as error:
        raise StoreError(
            f"cannot write to the store at {store.root()} ({error.strerror or error}); set "
            f"{store.ENVIRONMENT_VARIABLE} to a folder that can be written. What was stored before is safe"
        ) from error
    finally:
        if partial is not None:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
