"""Names that hfneg gives to what is being made and to what is being removed, and the end of what a kill has left."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from pathlib import Path

LEFTOVER = re.compile(r"\..+\.(?:[0-9]+-[0-9a-f]{8}\.partial|[0-9a-f]{8,32}\.removed)")
"""``.NAME.PID-8HEX.partial`` is being written (`store.replace_file`), ``.NAME.8HEX.removed`` is being deleted."""


def partial(path: Path) -> Path:
    """Where a file or folder is written that is then renamed to `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.partial")


def remove(path: Path) -> None:
    """Delete a file or a folder that may not be there; a kill leaves no half of it under its name.

    A link is removed, and not what it points to.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.removed")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    _delete(aside)


def is_one(path: Path) -> bool:
    """Whether a file or folder is half written or half removed."""
    return LEFTOVER.fullmatch(path.name) is not None


def sweep(folder: Path, *, deep: bool = False) -> None:
    """Delete what processes that are gone have left in `folder`, with `deep` also below it.

    Only for who works there alone (`hfneg.base.holding`).
    """
    found = folder.rglob(".*") if deep else folder.glob(".*")
    for path in sorted(filter(is_one, found)):
        _delete(path)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
