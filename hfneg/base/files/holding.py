"""Who works in a folder: one process at a time, told from others by a lock that ends with its process.

The lock is a file ``.hfneg.lock`` in the folder, locked by the system (flock), so that of a killed process none is
left; in the file stands who has it. On file systems without such locks (some network mounts) a line is logged and
nobody is kept out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from hfneg.base.files import temporary
from hfneg.errors import InUseError, OutputError

log = logging.getLogger(__name__)

LOCK = ".hfneg.lock"
MOMENT = 0.5
"""Seconds that are waited in any case: another process may just be looking whether the folder is held."""

TRIES = 1000
"""How often a folder may go just after it was made, before it is said that none can be made there."""

_held: set[str] = set()
"""Folders that this process holds."""


@contextlib.contextmanager
def held(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """The folder, made where it is missing, for this process alone; what was made and is still empty goes again.

    Raises InUseError where another process works in it, unless `wait`; OutputError where it cannot be written.
    """
    place = os.path.realpath(folder)
    if place in _held:
        raise in_use(folder, "this very process (a call, or a loop over rounds, that has not ended)")
    made: list[Path] = []
    lock = _lock(folder)
    try:
        _acquire(lock, folder, wait, made)
        _held.add(place)
        try:
            yield
        finally:
            _held.discard(place)
            _release(lock)
    finally:
        for path in made:  # the innermost first
            with contextlib.suppress(OSError):
                path.rmdir()


def holder(folder: Path) -> str | None:
    """In words, the process that works in the folder at this moment; None where none does."""
    path = folder / LOCK
    if os.path.realpath(folder) in _held:
        return "this very process"
    if not path.exists():
        return None
    lock = _lock(folder)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return _owner(path)
    except (OSError, NotImplementedError):  # a folder that nobody can write
        return None
    _release(lock)
    return None


def refuse_held(folder: Path) -> None:
    """Raise InUseError where another process works in the folder at this moment; for those who read it."""
    owner = None if os.path.realpath(folder) in _held else holder(folder)
    if owner is not None:
        raise InUseError(f"{folder} is being written by {owner}; wait until that has ended")


def entries(folder: Path) -> list[str]:
    """Names in a folder, without the lock and what processes that are gone have left."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path.name for path in found if path.name != LOCK and not temporary.is_temporary(path.name))


def _lock(folder: Path) -> FileLock:
    return FileLock(folder / LOCK, thread_local=False)


def _acquire(lock: FileLock, folder: Path, wait: bool, made: list[Path]) -> None:
    told, tries = False, 0
    while not lock.is_locked:
        try:
            made.extend(path for path in _make(folder) if path not in made)
            lock.acquire(timeout=-1 if told else MOMENT)
        except FileNotFoundError as error:  # who had it has just removed the folder that it had made
            tries += 1
            if tries == TRIES:
                raise OutputError(f"cannot make the folder {folder}: {error.strerror}; give another") from error
        except Timeout:
            owner = _owner(folder / LOCK)
            if not wait:
                raise in_use(folder, owner) from None
            log.info("waiting for %s, which works in %s", owner, folder)
            told = True
        except NotImplementedError:
            log.warning("the file system of %s has no locks: see to it that nothing else works there", folder)
            return
        except OSError as error:
            raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from error
    _sign(lock, folder / LOCK)


def _make(folder: Path) -> list[Path]:
    """Make the folder; those that were missing, the innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _sign(lock: FileLock, path: Path) -> None:
    """Who has it; a soft lock, which filelock falls back to, keeps a record of its own there."""
    if not isinstance(lock, SoftFileLock):
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        with contextlib.suppress(OSError):
            path.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now}))


def _release(lock: FileLock) -> None:
    """The file goes first, while nobody else can have it."""
    if lock.is_locked:
        with contextlib.suppress(OSError):
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _owner(path: Path) -> str:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return f"process {facts['pid']} on {facts['host']} (since {facts['since']})"
    except (OSError, ValueError, KeyError, TypeError):  # it has just ended, or has not signed yet
        return "another process"


def in_use(folder: str | Path, owner: str) -> InUseError:
    """What is raised for a folder that somebody else works in."""
    return InUseError(f"{folder} is in use by {owner}; wait for its end (wait=True), or give another folder")
