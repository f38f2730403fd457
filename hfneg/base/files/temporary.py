"""What is on its way in or out: it lies beside its place, under a name that says whose it is.

``.NAME.OWNER.partial`` is being written and gets its name when it is whole; ``.NAME.OWNER.removed`` has lost its name
and is being deleted. So nothing is ever half there, or half gone, under a final name, wherever a process is killed;
and what a killed one left can be told from what a live one is at work on (`hfneg.base.files.owners`).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from pathlib import Path
from typing import Literal

from hfneg.base.files.owners import OWNER, is_dead, new_owner

NAME = re.compile(rf"\..*\.(?P<owner>{OWNER})\.(?:partial|removed)", re.DOTALL)
REPLACING = re.compile(r"\..+\.[0-9]+-[0-9a-f]{8}\.partial", re.DOTALL)
"""What hfneg 0.1.0 called a file that it was replacing."""

ALONE = re.compile(f"(?P<owner>{OWNER})")
LONGEST = 180  # bytes of the name that is kept: with the rest it fits into a file name's 255
WEEK = 7 * 24 * 3600.0


def beside(path: Path, state: Literal["partial", "removed"] = "partial") -> Path:
    """A new name in the folder of `path`, hidden, for what is to become it or was it.

    Absolute: where a path begins with ``~``, or has a colon in its first folder, pyarrow would write somewhere else.
    """
    name = os.fsencode(path.name)[:LONGEST].decode(errors="ignore")
    return path.absolute().with_name(f".{name}.{new_owner()}.{state}")


def remove(path: Path) -> None:
    """Delete a file, a link or a folder; a folder is gone from its name at once, before its files go.

    A link is removed and what it leads to stays; what is not there is no error. Raises OSError.
    """
    aside = set_aside(path)
    if aside is not None:
        delete(aside)


def replace_folder(new: Path, final: Path) -> None:
    """Give `new` the name of the folder `final`, and delete that one; where `new` cannot take it, `final` has it again.

    Where `final` is a link, the link is replaced, and what it leads to stays. Raises OSError.
    """
    aside = set_aside(final)
    try:
        os.rename(new, final)
    except OSError:
        if aside is not None:
            os.rename(aside, final)
        raise
    if aside is not None:
        with contextlib.suppress(OSError):  # the next `sweep` tries again
            delete(aside)


def set_aside(path: Path) -> Path | None:
    """Take a folder's name from it; its new path, for `delete`. Files and links are deleted at once (None)."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return None
    aside = beside(path, "removed")
    try:
        os.rename(path, aside)
    except FileNotFoundError:  # somebody else was at it
        return None
    return aside


def delete(aside: Path) -> None:
    """Delete what has no final name. Raises OSError where something cannot be deleted."""
    if aside.is_symlink() or not aside.is_dir():
        aside.unlink(missing_ok=True)
    else:
        try:
            shutil.rmtree(aside)
        except FileNotFoundError:  # another process cleans, too
            shutil.rmtree(aside, ignore_errors=True)


def sweep(folder: Path, earlier: re.Pattern[str] = REPLACING) -> None:
    """Delete what dead processes left in `folder`; nothing else, and never what a live one is at work on.

    Of processes that nothing is known of (on other machines, or of a version that wrote other names: those that
    `earlier` matches) only what nobody has written to for a week. What cannot be deleted stays.
    """
    for path in leftovers(folder, earlier):
        with contextlib.suppress(OSError):
            delete(path)


def sweep_held(folder: Path, *, deep: bool = False) -> None:
    """Delete all that is on its way in or out of `folder`, with `deep` also below it, whoever wrote it.

    Only for who works there alone (`hfneg.base.files.holding`): the others are gone.
    """
    for path in sorted(folder.rglob(".*") if deep else folder.glob(".*")):
        if is_temporary(path.name):
            with contextlib.suppress(OSError):
                delete(path)


def leftovers(folder: Path, earlier: re.Pattern[str] = REPLACING, patience: float = WEEK) -> list[Path]:
    """What `sweep` deletes; `patience` in seconds."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    named = (folder / name for name in names if is_temporary(name, earlier))
    return [path for path in named if _is_left(path, patience)]


def is_temporary(name: str, earlier: re.Pattern[str] = REPLACING) -> bool:
    """Whether a file or folder of this name is on its way in or out."""
    return _owner_in(name) is not None or earlier.fullmatch(name) is not None


def _owner_in(name: str) -> str | None:
    match = (NAME if name.endswith((".partial", ".removed")) else ALONE).fullmatch(name)
    return None if match is None else match["owner"]


def _is_left(path: Path, patience: float) -> bool:
    owner = _owner_in(path.name)
    dead = None if owner is None else is_dead(owner)
    if dead is None:
        return not path.is_symlink() and time.time() - newest(path) > patience
    return dead and not path.is_symlink()


def newest(path: Path) -> float:
    """When a file was last written, or anything in a folder: seconds since 1970; now, where it goes meanwhile."""
    try:
        times = [path.lstat().st_mtime]
        for folder, folders, files in os.walk(path):
            times += [os.lstat(os.path.join(folder, name)).st_mtime for name in (*folders, *files)]
    except FileNotFoundError:
        return time.time()
    return max(times)
