"""Artefacts on disk: named by kind and content digest, built once, opened from many processes.

The store is a folder. Its root is process-wide: ``HFNEG_STORE`` where it is set, else ``hfneg`` under
``HF_HOME`` (default ``~/.cache/huggingface``). An artefact is ``ROOT/KIND/DIGEST``; a folder that has
its final name is complete, because it was written under another name and renamed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from hfneg.base.files import checksums, temporary
from hfneg.base.files.checksums import Fault
from hfneg.base.files.disk import full_disk_in
from hfneg.base.files.owners import new_owner
from hfneg.base.files.temporary import remove as remove
from hfneg.base.store import layout, old_files
from hfneg.errors import DamagedError, DiskFullError, HfnegError, SettingError, StoreError

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
    """The store's folder, absolute; written back to the environment so that worker processes use the same one.

    Raises SettingError where the environment names none.
    """
    given = os.environ.get(ENVIRONMENT_VARIABLE)
    if given is None:
        home = os.environ.get("HF_HOME", os.path.join("~", ".cache", "huggingface"))
        given = os.path.join(_folder(home, "HF_HOME"), "hfneg")
    found = _folder(given, ENVIRONMENT_VARIABLE)
    if found != os.environ.get(ENVIRONMENT_VARIABLE):
        os.environ[ENVIRONMENT_VARIABLE] = found
    return Path(found)


def _folder(given: str, variable: str) -> str:
    """`given` as an absolute path, the home folder written out."""
    found = os.path.expanduser(given)
    if not found.strip():
        raise SettingError(f"{variable} is set but empty; name a folder, or unset it for the default")
    if found.startswith("~"):
        raise SettingError(f"{variable}={given!r}: there is no such home folder; give the path of a folder")
    return os.path.abspath(found)


_checked: set[Path] = set()
_swept: set[Path] = set()


def checked_root() -> Path:
    """The store's folder, there or not; raises SettingError or StoreError where it cannot be a store."""
    folder = root()
    if folder not in _checked:
        layout.check(folder, ENVIRONMENT_VARIABLE)
        _checked.add(folder)
    return folder


def made_root() -> Path:
    """The store's folder, made if need be; what dead processes left in it is deleted when this process first asks."""
    folder = checked_root()
    if not (folder / layout.MARKER).is_file():
        layout.make(folder, ENVIRONMENT_VARIABLE)
    if folder not in _swept:
        layout.sweep(folder)
    _swept.add(folder)
    return folder


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
    return checked_root() / kind / digest


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
    except DiskFullError:
        raise
    except Exception as error:
        # an error of ours is for want of space where the system's is its cause
        full = full_disk_in(error.__cause__ if isinstance(error, HfnegError) else error)
        if full is None:
            raise
        raise DiskFullError(
            f"no space is left on the disk ({_words(full)}), in {_place(full)}; what is finished is kept: make room "
            "(hfneg store size says what the store holds), then do the same again; long runs go on with resume=True"
        ) from error


def _words(error: BaseException) -> str:
    """What the system said."""
    return getattr(error, "strerror", None) or str(error).strip().split("\n")[0]


def _place(error: BaseException) -> str:
    """The file, where the error knows it."""
    if (name := getattr(error, "filename", None)) is not None:
        return str(name)
    return f"the output folder or in the store ({os.environ.get(ENVIRONMENT_VARIABLE, 'the default one')})"


@disk_full_is_said()
def build(kind: str, digest: str, fill: Callable[[Path], None]) -> Path:
    """The artefact's folder, filled by `fill(folder)` if it is not there yet, or damaged.

    One process fills, others wait for it (a file lock); what is damaged is set aside with a warning.
    """
    folder = artefact(kind, digest)
    if folder.is_dir() and fault_in(folder) is None:
        logger.debug("%s %s is in the store", kind, digest[:12])
        return folder
    began = time.perf_counter()
    with lock(kind, digest):
        if (fault := fault_in(folder)) is not None:
            set_aside(fault, folder)
        if not folder.is_dir():
            temporary.sweep(folder.parent)  # of workers of this run that were killed
            with scratch_folder(temporary.beside(folder)) as scratch:
                fill(scratch)
                checksums.write_folder(scratch)
                os.rename(scratch, folder)
    logger.debug("%s %s was made in %.1f s", kind, digest[:12], time.perf_counter() - began)
    return folder


@contextlib.contextmanager
def scratch_folder(path: Path | None = None) -> Iterator[Path]:
    """An empty folder inside the store that is gone when the block ends, unless it was renamed."""
    with _store_is_writable():
        folder = path or made_root() / layout.SCRATCH / new_owner()
        folder.mkdir(parents=True)
    try:
        with disk_full_is_said():
            yield folder
    finally:
        with contextlib.suppress(OSError):
            remove(folder)


@contextlib.contextmanager
def _store_is_writable() -> Iterator[None]:
    """StoreError, or DiskFullError, instead of the system's error."""
    with disk_full_is_said():
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"cannot write to the store at {root()} ({error.strerror or error}); set {ENVIRONMENT_VARIABLE} to a "
                "folder that can be written"
            ) from error


def lock(kind: str, digest: str) -> FileLock:
    """The lock under which this artefact is built (a file beside it)."""
    with _store_is_writable():
        parent = made_root() / kind
        parent.mkdir(exist_ok=True)
    return FileLock(parent / f".{digest}.lock")


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder and below it; what goes meanwhile counts nothing."""
    files = [path] if path.is_file() else [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    total = 0
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            total += file.lstat().st_size
    return total


def write_json(path: Path, value: Any, *, at: Path | None = None) -> None:
    """Write `value` so that a reader sees the old file or the new one, never a part; `at` as for `replace_file`."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    replace_file(path, lambda partial: partial.write_text(text, encoding="utf-8"), at=at)


@disk_full_is_said()
def replace_file(path: Path, write: Callable[[Path], Any], *, at: Path | None = None) -> None:
    """Call `write(temporary path)` and rename the result to `path`; a kill leaves no part under `path`.

    The temporary path lies beside `path`, or beside `at`, which must be on the same disk.
    """
    partial = temporary.beside(at or path)
    _sweep_once(partial.parent)
    try:
        write(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _sweep_once(folder: Path) -> None:
    """What dead processes left in a folder that this process begins to write to."""
    if folder not in _swept:
        _swept.add(folder)
        temporary.sweep(folder)
