"""What cannot be read: pipes, devices, JSON that ends the process, half a BEIR folder."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hfneg.base.files import json_lines
from hfneg.errors import HfnegError, InputError


def check_name(path: Any, error: type[HfnegError] = InputError) -> None:
    """Raises `error` for a name that this machine has no file for, ever: not UTF-8, a NUL in it, too long, going round.

    Arrow and `datasets` take names as UTF-8, so a name in another encoding would fail in the middle of the work.
    """
    name = os.fspath(path)
    try:
        name.encode()
        os.stat(name)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # said where it is opened, or made
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode("utf-8", "backslashreplace")
        raise error(f"the name {shown!r} is not UTF-8, which is how files are opened here; rename it") from None
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", None) or problem
        said = f"{reprlib.repr(name)} cannot be the name of a file or folder ({why}); give another folder or file"
        raise error(said) from None


def refuse_special(location: Path) -> None:
    """Raises InputError for pipes, sockets and devices: to read one would wait, perhaps for ever."""
    for path in (location, *(location.rglob("*") if location.is_dir() else ())):
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise InputError(f"{path} is a pipe, a socket or a device; write what it gives into a file, and give that")


def refuse_unparsable(files: Iterable[Path]) -> None:
    """Raises InputError for a JSON file among these that no parser takes; `json_lines.refuse_unparsable`."""
    for path in files:
        if {".json", ".jsonl"} & {suffix.lower() for suffix in path.suffixes}:
            json_lines.refuse_unparsable(path)


def refuse_half_beir(path: Any) -> None:
    """Raises InputError for a folder with judgments (``qrels/*.tsv``) that lacks the texts they are about."""
    folder = Path(path) if isinstance(path, str | Path) else None
    if folder is None or not any((folder / "qrels").glob("*.tsv")):
        return
    missing = [name for name in ("corpus.jsonl", "queries.jsonl") if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"{folder} has judgments in qrels/ as a BEIR folder, but no {' and no '.join(missing)}: put the texts "
            "there (unpacked), or give a file of pairs"
        )
