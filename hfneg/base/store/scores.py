"""What teachers said, kept for ever: one score per teacher and pair, never computed twice.

``scores/<teacher digest>/`` holds segments (hfneg/segments.py): immutable files of sorted pair hashes and float32
raw outputs. `put` writes one under another name, brings it to the disk, and renames it into place, so it is there
whole or not at all; `get` maps what is there and searches. Segments are numbered in the order in which they were
committed, and their names say which numbers they hold::

    000000000001-000000000007-5c0ffee0.scores     what the first seven puts stored, merged
    000000000008-000000000008-ca5cade5.scores     what the eighth stored

A segment whose numbers lie inside another's was merged into it and counts for nothing: a merge that was killed
before it removed its inputs leaves no wrong result. **Of two scores for one pair the one committed first counts**,
for every reader and for ever. Two lock files order things: one is held for the moment of a rename, the other by
the one process that merges. None is held while a teacher computes, while segments are written or read.

Files that were merged are removed at once; readers on the same machine keep what they have mapped. Where machines
share a store, its file system must have working file locks and keep files that another machine has mapped.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import Timeout

from hfneg.base import store
from hfneg.base.files import temporary
from hfneg.base.hashing import HASH, Hashes, mix
from hfneg.base.store import score_files
from hfneg.base.store.layout import SCORES, TEACHER
from hfneg.base.store.score_files import ScoreBlock, Scores, Segment, writing
from hfneg.errors import DamagedError, NonFiniteError, SettingError, StoreError

LOCK_SECONDS = 60.0
SECOND_HALF = 0x6A09E667F3BCC908  # so that the two halves of a pair's key are unrelated

logger = logging.getLogger(__name__)


def pair_keys(anchor_hashes: Hashes, document_hashes: Hashes) -> Hashes:
    """128-bit keys of (anchor, document) pairs, HASH [n], from the hashes of their texts, HASH [n] each.

    (a, d) and (d, a) have different keys. Among n pairs the chance that any two share a key is about n^2 / 2^129:
    below 1e-22 for 200 million.
    """
    if len(anchor_hashes) != len(document_hashes):
        raise SettingError(f"{len(anchor_hashes)} anchors and {len(document_hashes)} documents do not make pairs")
    a, d = _hashes(anchor_hashes), _hashes(document_hashes)
    keys = np.empty(len(a), dtype=HASH)
    keys["high"] = mix(a["high"], a["low"], d["high"], d["low"])
    keys["low"] = mix(SECOND_HALF, d["low"], a["high"], d["high"], a["low"])
    return keys


NAME = "teacher.json"


class ScoreStore:
    """The scores of one teacher, shared by all processes that use the same store; pickles to its digest.

    Args:
        teacher_digest: names all that a score depends on besides the pair (weights, prompt, precision, ...).
        name: what people call the teacher; kept beside the scores, and no part of what they are.

    Attributes:
        asked: how many keys `get` was asked for.
        hits: how many of them had a score.

    Memory does not grow with the number of scores: files are mapped, and merged in blocks.
    """

    def __init__(self, teacher_digest: str, name: str | None = None) -> None:
        if not TEACHER.fullmatch(teacher_digest):
            raise SettingError(f"{teacher_digest!r} cannot name a folder; give a digest (hfneg.base.store.digest_of)")
        self.teacher_digest, self.name = teacher_digest, name
        self.asked = self.hits = 0
        self._listed: tuple[Path, tuple[str, ...]] | None = None
        self._segments: list[Segment] = []  # in commit order

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.teacher_digest, self.name)

    def __repr__(self) -> str:
        return f"ScoreStore({self.teacher_digest!r})"

    @property
    def folder(self) -> Path:
        return store.artefact(SCORES, self.teacher_digest)

    @property
    def nbytes(self) -> int:
        """Bytes of all segments on disk."""
        return sum(segment.nbytes for segment in self._refresh())

    @property
    def segments(self) -> int:
        """How many files hold the scores: O(log n)."""
        return len(self._refresh())

    def __len__(self) -> int:
        """How many scores; a pair that two processes scored at the same time counts twice until it is merged."""
        return sum(map(len, self._refresh()))

    # Reading.

    def get(self, keys: Hashes) -> Scores:
        """float32 [n], NaN where there is no score; `keys` is HASH [n], in any order, with repeats if need be.

        It sees all that any process has committed so far. Raises StoreError naming the file where one is damaged or
        newer than this version.
        """
        self._refresh()
        found = self._lookup(_hashes(keys))
        self.asked += len(found)
        self.hits += int(np.count_nonzero(~np.isnan(found)))
        return found

    def _lookup(self, keys: Hashes) -> Scores:
        """`get` in the segments that are open."""
        found = np.full(len(keys), np.nan, dtype=np.float32)
        left = np.argsort(keys["high"])
        high, low = keys["high"][left], keys["low"][left]
        for segment in self._segments:
            position = segment.find(high, low)
            hit = position >= 0
            if hit.any():
                found[left[hit]] = segment.scores[position[hit]]
                left, high, low = left[~hit], high[~hit], low[~hit]
        return found

    def _refresh(self) -> list[Segment]:
        """Open what is new and let go of what was merged."""
        for _ in range(100):
            # A listing made while a merge goes on may lack both its result and its inputs; two equal ones do not.
            seen = self._listed
            while (now := (self.folder, score_files.listing(self.folder))) != seen:
                seen = now
            if seen == self._listed:
                return self._segments
            known = {segment.path: segment for segment in self._segments}
            paths = [self.folder / name for name in score_files.live(now[1])]
            try:
                self._segments = [known[path] if path in known else Segment(path) for path in paths]
            except FileNotFoundError:  # merged since it was listed
                continue
            self._listed = now
            return self._segments
        raise StoreError(f"the files in {self.folder} keep vanishing while they are read")

    # Writing.

    def put(self, keys: Hashes, scores: npt.ArrayLike) -> None:
        """Keep `scores` (float32 [n], raw teacher outputs) of `keys` (HASH [n]); on the disk when this returns.

        A key that has a score keeps it, and of equal keys in one call the first counts. Raises NonFiniteError for
        NaN or infinity, DiskFullError or StoreError where the store cannot be written; then nothing of this call was
        stored.
        """
        block = score_files.ordered(self._checked(keys, scores))
        self._commit(self._unknown(block))
        self._merge_due()

    def _checked(self, keys: Hashes, scores: npt.ArrayLike) -> ScoreBlock:
        hashes = _hashes(keys)
        with np.errstate(over="ignore"):
            values = np.asarray(scores).astype(np.float32)
        if values.shape != hashes.shape:
            raise SettingError(f"scores of shape {values.shape} for {len(hashes)} keys; one per key was expected")
        if not np.isfinite(values).all():
            worst = int(np.flatnonzero(~np.isfinite(values))[0])
            raise NonFiniteError(
                f"score {worst} of {len(values)} is {values[worst]} in float32; a teacher must return finite numbers; "
                "nothing was stored"
            )
        return ScoreBlock(hashes["high"], hashes["low"], values)

    def _unknown(self, block: ScoreBlock) -> ScoreBlock:
        """Without what the open segments hold; the others are not opened, so a damaged one costs no score."""
        keys = np.empty(len(block.high), dtype=HASH)
        keys["high"], keys["low"] = block.high, block.low
        new = np.isnan(self._lookup(keys))
        return ScoreBlock(block.high[new], block.low[new], block.scores[new])

    def _commit(self, block: ScoreBlock) -> None:
        if not len(block.high):
            return
        partial = temporary.beside(self.folder)
        with writing(partial):
            self._make_folder()
            score_files.write(partial, len(block.high), [block])
            with self._lock():
                self.folder.mkdir(exist_ok=True)  # it may have been pruned meanwhile
                number = score_files.next_number(score_files.listing(self.folder))
                os.rename(partial, self.folder / score_files.name_of(number, number))
            if self.name is not None and not (self.folder / NAME).exists():
                store.write_json(self.folder / NAME, {"name": self.name}, at=self.folder)
            score_files.fsync_folder(self.folder)
            score_files.fsync_folder(self.folder.parent)

    def _make_folder(self) -> None:
        """With those above it, so that their names survive a power loss."""
        if not self.folder.is_dir():
            with self._lock():
                self.folder.mkdir(exist_ok=True)
            score_files.fsync_folder(self.folder.parent)
            for folder in (store.root(), store.root().parent):
                with contextlib.suppress(PermissionError):  # the folder of a team's store may not be ours to open
                    score_files.fsync_folder(folder)

    # Merging.

    def compact(self) -> None:
        """Merge all segments into one. Raises StoreError where one is damaged or another process keeps merging."""
        with self._lock("merge"):
            self._remove_replaced()
            if len(run := self._refresh()) > 1:
                self._merge(run)

    def _merge_due(self) -> None:
        """Merge the newest segments where they weigh more than one before them, unless somebody is at it."""
        if score_files.due(self._refresh()) is None and not score_files.replaced(score_files.listing(self.folder)):
            return
        with contextlib.suppress(Timeout), self._lock("merge", wait=False):
            self._remove_replaced()
            while (start := score_files.due(self._refresh())) is not None:
                self._merge(self._segments[start:])

    def _merge(self, run: Sequence[Segment]) -> None:
        """Replace neighbours by one; only who holds the merge lock may."""
        for segment in run:
            segment.verify()
        partial = temporary.beside(self.folder)
        with writing(partial):
            score_files.write(partial, sum(map(len, run)), score_files.merged(run))
            with self._lock():
                os.rename(partial, self.folder / score_files.name_of(run[0].first, run[-1].last))
                score_files.fsync_folder(self.folder)  # before the inputs go
        self._remove_replaced()

    def _remove_replaced(self) -> None:
        """Delete segments that were merged into others."""
        with writing(), self._lock():
            for name in score_files.replaced(score_files.listing(self.folder)):
                os.unlink(self.folder / name)

    def repair(self) -> list[Path]:
        """Verify every segment and set damaged ones aside as ``*.damaged``; their new paths.

        The scores in them are lost and will be computed again; all others are kept.
        """
        aside = []
        with self._lock("merge"):
            for name in score_files.live(score_files.listing(self.folder)):
                path = self.folder / name
                try:
                    Segment(path).verify()
                except DamagedError as error:
                    logger.warning("%s; it is %s.damaged now", error, path)
                    with writing(), self._lock():
                        os.rename(path, aside_path := path.with_name(f"{name}.damaged"))
                    aside.append(aside_path)
        return aside

    def delete(self) -> None:
        """Remove all scores of this teacher; a put under way in another process goes on and is kept."""
        with writing(), self._lock("merge"):
            with self._lock():
                aside = temporary.set_aside(self.folder)
            if aside is not None:
                temporary.delete(aside)

    @contextlib.contextmanager
    def _lock(self, what: str = "", *, wait: bool = True) -> Iterator[None]:
        """Held for the moment of a rename, or ("merge") by the one process that merges.

        Raises Timeout at once where `wait` is False, StoreError after LOCK_SECONDS where it is True.
        """
        lock = store.lock(SCORES, ".".join(filter(None, (self.teacher_digest, what))))
        with writing():
            try:
                lock.acquire(timeout=LOCK_SECONDS if wait else 0)
            except Timeout as error:
                if not wait:
                    raise
                raise StoreError(
                    f"another process has held {lock.lock_file} for {LOCK_SECONDS:.0f} s; what is stored is safe: "
                    "wait for that process or end it, then try again"
                ) from error
        try:
            yield
        finally:
            lock.release()


def _hashes(keys: Hashes) -> Hashes:
    array = np.asarray(keys)
    if array.dtype != HASH or array.ndim != 1:
        raise SettingError(f"keys are {array.dtype} {array.shape}; HASH (hfneg.base.hashing) [n] was expected")
    return array
