"""Artefacts on disk: named by kind and content digest, built once, opened from many processes.

The store is a folder. Its root is process-wide: ``HFNEG_STORE`` where it is set, else ``hfneg`` under
``HF_HOME`` (default ``~/.cache/huggingface``). An artefact is ``ROOT/KIND/DIGEST``; a folder that has
its final name is complete, because it was written under another name and renamed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from hfneg.base import checksums, old_files
from hfneg.base.checksums import Fault
from hfneg.errors import DamagedError, DiskFullError, HfnegError, StoreError

ENVIRONMENT_VARIABLE = "HFNEG_STORE"

logger = logging.getLogger(__name__)

_forked_children = 0


def _count_fork() -> None:
    global _forked_children
    _forked_children += 1


os.register_at_fork(after_in_child=_count_fork)


def in_forked_child() -> bool:
    """True in a process that was forked after hfneg was imported (`datasets` with ``num_proc``)."""
    return _forked_children > 0


def root() -> Path:
    """The store's folder; written back to the environment so that worker processes use the same one."""
    if ENVIRONMENT_VARIABLE not in os.environ:
        home = os.environ.get("HF_HOME", os.path.join("~", ".cache", "huggingface"))
        os.environ[ENVIRONMENT_VARIABLE] = os.path.abspath(os.path.expanduser(os.path.join(home, "hfneg")))
    return Path(os.environ[ENVIRONMENT_VARIABLE])


def digest_of(*parts: Any) -> str:
    """32 hex digits (blake2b, 128 bit) over `parts`: bytes, arrays by content, or JSON values.

    Each part goes in with its length, so ("ab", "c") and ("a", "bc") differ.
    """
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, bytes | bytearray | memoryview):
            payload = memoryview(part).cast("B")
        elif hasattr(part, "__array_interface__"):
            payload = memoryview(part.reshape(-1)).cast("B") if part.size else memoryview(b"")
        else:
            payload = memoryview(json.dumps(part, sort_keys=True, ensure_ascii=False).encode())
        state.update(len(payload).to_bytes(8, "little"))
        state.update(payload)
    return state.hexdigest()


def artefact(kind: str, digest: str) -> Path:
    """Where the artefact lies, or would lie."""
    return root() / kind / digest


def require(kind: str, digest: str) -> Path:
    """The folder of an artefact that must be there already."""
    folder = artefact(kind, digest)
    if not folder.is_dir():
        raise StoreError(
            f"the store {root()} has no {kind} {digest}; it was built with another {ENVIRONMENT_VARIABLE}, "
            "or it was deleted: build it again from the data"
        )
    if (fault := fault_in(folder)) is not None:
        raise damaged(fault)
    return folder


def fault_in(folder: Path) -> Fault | None:
    """What is wrong with an artefact: sizes at every call, contents at the first in a process; None where it is whole.

    Of an artefact without checksums, which an older version built, only what sizes and headers tell.
    """
    with unreadable_is_said():
        if not folder.is_dir():
            return Fault(folder, "it is no folder") if os.path.lexists(folder) else None
        manifest = folder / checksums.MANIFEST
        return checksums.fault(manifest, folder) if checksums.there(manifest) else old_files.fault(folder)


@contextlib.contextmanager
def unreadable_is_said() -> Iterator[None]:
    """StoreError for a file that may not be read: it is somebody else's, not damaged."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot read {error.filename or 'the store'} ({error.strerror or error}); make it readable, or set "
            f"{ENVIRONMENT_VARIABLE} to another folder"
        ) from error


def damaged(fault: Fault) -> DamagedError:
    """The error for an artefact that only the user's data can make again."""
    return DamagedError(
        f"{fault}. Call again with the data what made it (Corpus.from_dataset, Anchors, a retriever's open, mine), and "
        "it is set aside and made anew; hfneg store verify says what else is damaged, hfneg store repair sets it aside"
    )


def set_aside(fault: Fault, path: Path) -> Path:
    """Rename a damaged artefact (or part of one), so that it is made again, with a warning; its new path."""
    try:
        aside = checksums.set_aside(path)
    except OSError as error:
        raise StoreError(f"{fault}, and cannot be set aside ({error.strerror or error})") from error
    logger.warning("%s; set aside as %s", fault, aside)
    return aside


@contextlib.contextmanager
def disk_full_is_said() -> Iterator[None]:
    """DiskFullError instead of whatever a library raises when the disk is full."""
    try:
        yield
    except HfnegError:
        raise
    except Exception as error:
        # safetensors and Arrow have errors of their own, with the system's words in them
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or os.strerror(errno.ENOSPC) in str(error)
        if not full:
            raise
        where = getattr(error, "filename", None) or f"the output folder or in the store ({root()})"
        raise DiskFullError(
            f"no space is left on the disk, in {where}; what is finished is kept: make room (hfneg store size says "
            "what the store holds), then go on with resume=True"
        ) from error


@disk_full_is_said()
def build(kind: str, digest: str, fill: Callable[[Path], None]) -> Path:
    """The artefact's folder, filled by `fill(folder)` if it is not there yet, or damaged.

    One process fills, others wait for it (a file lock). What a killed process left behind is removed
    by the next one that builds the same artefact, and what is damaged is set aside with a warning.
    """
    folder = artefact(kind, digest)
    if folder.is_dir() and fault_in(folder) is None:
        return folder
    with lock(kind, digest):
        if (fault := fault_in(folder)) is not None:
            set_aside(fault, folder)
        if not folder.is_dir():
            for leftover in folder.parent.glob(f".{digest}.*.partial"):
                shutil.rmtree(leftover, ignore_errors=True)
            partial = folder.parent / f".{digest}.{os.getpid()}.partial"
            with scratch_folder(partial) as scratch:
                fill(scratch)
                checksums.write_folder(scratch)
                os.rename(scratch, folder)
    return folder


@contextlib.contextmanager
def scratch_folder(path: Path | None = None) -> Iterator[Path]:
    """An empty folder inside the store that is gone when the block ends, unless it was renamed."""
    folder = path or root() / "scratch" / uuid.uuid4().hex
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise StoreError(
            f"cannot write to the store at {root()} ({error.strerror or error}); set {ENVIRONMENT_VARIABLE} to a "
            "folder that can be written"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def lock(kind: str, digest: str) -> FileLock:
    """The lock under which this artefact is built (a file beside it)."""
    parent = root() / kind
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot write to the store at {root()} ({error.strerror or error}); set {ENVIRONMENT_VARIABLE} to a "
            "folder that can be written"
        ) from error
    return FileLock(parent / f".{digest}.lock")


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder and below it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def write_json(path: Path, value: Any) -> None:
    """Write `value` so that a reader sees the old file or the new one, never a part."""
    replace_file(path, lambda partial: partial.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n"))


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Call `write(temporary path)` and rename the result to `path`; a kill leaves no part under `path`."""
    partial = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.partial")
    try:
        write(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
