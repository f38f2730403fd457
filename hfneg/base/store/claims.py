"""Which pairs are being scored right now, so that processes that share a store do not ask about the same ones.

A claim is two files beside the scores of a teacher: the halves of hashes of the pairs, and a lock that its process
holds while it scores them. A claim whose lock nobody holds is none: its process has ended, however it ended. Claims
are made one at a time, under a lock that is held for the moment of reading those of others, looking into the store
and writing one's own; so of two processes that want the same pair one sees the other's claim or its score.

Nobody waits while holding a claim, so there is no deadlock. Who finds all its pairs claimed waits; a claim that has
shown no sign of life for PATIENCE_SECONDS (a process that was stopped, a machine that hangs) is passed over, and its
pairs are asked about twice at worst. On one machine the locks are the kernel's; between machines they are as good as
those of the file system, and without working ones each machine may ask about the same pairs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from hfneg.base import store
from hfneg.base.hashing import Halves, Hashes
from hfneg.base.store.score_files import writing
from hfneg.errors import StoreError

KIND = "scores"  # beside which claims lie
LOCK_SECONDS = 60.0
PATIENCE_SECONDS = 900.0
POLL_SECONDS = 0.02
WAIT_SECONDS = 0.25  # then it is looked again who is at what
SAY_SECONDS = 30.0  # how often it is said that one waits
ALIVE_SECONDS = 1.0  # how often a claim shows a sign of life, at most
SUFFIX, LOCKED = ".claim", ".claim.lock"

log = logging.getLogger(__name__)


class Claims:
    """The claims on pairs of one teacher, of all processes that share the store."""

    def __init__(self, teacher_digest: str) -> None:
        self._folder, self._digest = store.root() / KIND, teacher_digest
        self._signs: dict[str, tuple[int, float]] = {}  # name: its last sign of life, and when it was first seen here
        self._since: float | None = None  # waiting
        self._say_at = 0.0

    @contextlib.contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """Inside the block no other process makes a claim. Raises StoreError after LOCK_SECONDS."""
        order = store.lock(KIND, f"{self._digest}.claims")
        with writing():
            try:
                order.acquire(timeout=LOCK_SECONDS, poll_interval=POLL_SECONDS)
            except Timeout as error:
                raise StoreError(
                    f"another process has held {order.lock_file} for {LOCK_SECONDS:.0f} s, which takes a moment: end "
                    "that process, then try again; what is stored is safe"
                ) from error
        try:
            yield
        finally:
            order.release()

    def others(self) -> Halves:
        """uint64 [m]: the high halves of the keys that living processes have claimed; only `one_at_a_time`."""
        keys, living = [], {}
        for path in self._paths():
            with contextlib.suppress(FileNotFoundError):
                if not _abandoned(path):
                    living[path.name] = sign = self._sign(path)
                    if time.monotonic() - sign[1] <= PATIENCE_SECONDS:
                        keys.append(np.fromfile(path, dtype=np.uint64))
        self._signs = living
        return np.concatenate(keys) if keys else np.empty(0, dtype=np.uint64)

    def make(self, keys: Hashes) -> Claim:
        """Claim these pairs; only `one_at_a_time`, and only what no other has claimed."""
        host = re.sub(r"[^\w-]", "_", socket.gethostname())[:64]
        path = self._folder / f".{self._digest}.{os.getpid()}.{host}.{uuid.uuid4().hex}{SUFFIX}"
        with writing():
            return Claim(path, keys["high"])

    def wait(self) -> None:
        """Until a claim that `others` saw ends, or for a moment."""
        oldest = min(self._signs, key=lambda name: self._signs[name][1], default=None)
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if now >= self._say_at:
            so_far = f"; {now - self._since:.0f} s so far" if now - self._since >= 1 else ""
            owner = "another process" if oldest is None else _owner(oldest)
            log.info("waiting for scores of pairs that %s is asking the teacher about%s", owner, so_far)
            self._say_at = now + SAY_SECONDS
        if oldest is not None:
            lock = _lock_of(self._folder / oldest)
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=WAIT_SECONDS, poll_interval=POLL_SECONDS)
                lock.release()

    def _paths(self) -> list[Path]:
        """Claims, and what is left of those that ended while somebody waited for them."""
        names = {path.name.removesuffix(".lock") for path in self._folder.glob(f".{self._digest}.*{SUFFIX}*")}
        return [self._folder / name for name in sorted(names)]

    def _sign(self, path: Path) -> tuple[int, float]:
        """Its last sign of life, and when that was first seen by the clock of this process."""
        touched = path.stat().st_mtime_ns
        known = self._signs.get(path.name)
        return known if known is not None and known[0] == touched else (touched, time.monotonic())


class Claim:
    """Pairs that this process is asking about; at the end of the block they are nobody's."""

    def __init__(self, path: Path, halves: Halves) -> None:
        self._path, self._lock, self._touched = path, _lock_of(path), time.monotonic()
        self._lock.acquire()
        try:
            np.ascontiguousarray(halves).tofile(path)
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def alive(self) -> None:
        """Show a sign of life."""
        if time.monotonic() - self._touched > ALIVE_SECONDS:
            self._touched = time.monotonic()
            with contextlib.suppress(OSError):  # it does no more than keep others waiting
                os.utime(self._path)

    def _end(self) -> None:
        with contextlib.suppress(OSError):  # without its lock it counts for nothing
            self._path.unlink(missing_ok=True)
            Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()


def _lock_of(path: Path) -> FileLock:
    return FileLock(path.with_name(f"{path.name}.lock"))


def _owner(claim: str) -> str:
    """In words, who has made the claim of this file name; its digest has no dot."""
    parts = claim.lstrip(".").removesuffix(SUFFIX).split(".")
    return f"process {parts[1]} on {parts[2]}" if len(parts) == 4 else "another process"


def _abandoned(path: Path) -> bool:
    """Whether nobody holds this claim; then it is removed."""
    lock = _lock_of(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    path.unlink(missing_ok=True)
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()
    return True
