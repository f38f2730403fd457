"""The output folder of a run: begun, gone on with, or finished; never half of something.

While a run works, everything lies in ``OUT/.hfneg``: parts that were renamed into place, so that a part is
there whole or not at all. At the end ``.hfneg/finished`` gets its summary, which says that all is there, and
its files are renamed to their places, ``summary.json`` last: a folder with a summary is complete.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hfneg import store
from hfneg.errors import OutputError, OutputExistsError, ResumeError, SettingError
from hfneg.readable import check_name

WORK = ".hfneg"
RUN = "run.json"
SUMMARY = "summary.json"
PUBLIC = ("data", "ledger", "recipe.yaml", "README.md", "statistics.json", SUMMARY)


class RunFolder:
    """`out` and the work area in it.

    `identity` is everything the result depends on, by name; a run goes on only where it is the same.
    """

    def __init__(self, out: str | Path, identity: Mapping[str, Any]) -> None:
        self.out = Path(out)
        self.identity = dict(identity)
        self.work = self.out / WORK
        self.finished = self.work / "finished"

    @property
    def complete(self) -> bool:
        return _identity_of(self.out / SUMMARY) is not None

    def begin(self) -> None:
        """Make the work area, or find that it belongs to this run, and end what a kill left to be moved.

        Raises ResumeError naming what changed, OutputError where the folder cannot be written.
        """
        before = self._recorded()
        if before is not None:
            changed = [name for name in self.identity if before.get(name) != self.identity[name]]
            if changed:
                raise ResumeError(
                    f"{self.out} was begun with other inputs: {', '.join(changed)} changed "
                    f"({_difference(before, self.identity, changed[0])}); give the same inputs, or overwrite, or "
                    "another output folder"
                )
            if self.complete or (self.finished / SUMMARY).is_file():
                self._move()
            return
        try:
            _remove(self.work)  # what lies there without the record of a run is of a run that was being removed
            self.work.mkdir(parents=True)
            store.write_json(self.work / RUN, self.identity)
        except OSError as error:
            raise OutputError(f"cannot write to {self.out}: {error.strerror or error}") from error

    def _recorded(self) -> dict[str, Any] | None:
        if self.complete:
            return _identity_of(self.out / SUMMARY)
        if not (self.work / RUN).is_file():
            return None
        return _read_json(self.work / RUN)

    def folder(self, *names: str) -> Path:
        """A folder of the work area."""
        path = self.work.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def leave_if_idle(self) -> None:
        """Remove the work area again where no part of any work was finished in it: nothing is lost, nothing left."""
        if any(path.is_file() and path.name != RUN for path in self.work.rglob("*")):
            return
        shutil.rmtree(self.work, ignore_errors=True)
        if self.out.is_dir() and not any(self.out.iterdir()):
            self.out.rmdir()

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Move what is finished to its place; a kill in between leaves the rest to the next `begin`."""
        for leftover in self.finished.rglob(".*.partial"):  # of a killed process
            leftover.unlink()
        store.write_json(self.finished / SUMMARY, {**summary, "identity": self.identity})
        self._move()

    def _move(self) -> None:
        for name in PUBLIC:
            source = self.finished / name
            if source.exists():
                _remove(self.out / name)
                os.replace(source, self.out / name)
        shutil.rmtree(self.work, ignore_errors=True)


def check(out: str | Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse an output folder that cannot be used, before any work."""
    if not isinstance(out, str | os.PathLike) or not str(out) or "\0" in str(out):
        raise SettingError(f"out={out!r}: expected the path of a folder")
    if resume and overwrite:
        raise SettingError("resume and overwrite were both asked for; say one of them")
    check_name(out, OutputError)
    path = Path(out)
    try:
        if path.exists() and not path.is_dir():
            raise OutputError(f"{path} is a file; the output must be a folder")
    except OSError as error:  # a name too long, say
        raise OutputError(f"cannot write to {path}: {error.strerror or error}; give another folder") from error
    parent = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not parent.is_dir():
        raise OutputError(f"cannot write to {path}: {parent} is a file; give a path whose parents are folders")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write to {path}: no permission in {parent}; give another folder")
    if not path.is_dir() or not any(path.iterdir()):
        return
    finished = _identity_of(path / SUMMARY) is not None
    if not finished and not (path / WORK).is_dir():
        raise OutputExistsError(f"{path} holds files that hfneg did not write; give a new or empty folder")
    if not resume and not overwrite:
        state = "a finished run" if finished else "a run that was cut off"
        raise OutputExistsError(f"{path} holds {state}; say resume to go on with it, or overwrite to start anew")


def _identity_of(summary: Path) -> dict[str, Any] | None:
    """What a finished run depended on; None where the file is not there or not hfneg's."""
    identity = _read_json(summary).get("identity") if summary.is_file() else None
    return identity if isinstance(identity, dict) else None


def _read_json(path: Path) -> dict[str, Any]:
    """The object in a file, empty where there is none."""
    try:
        value = json.loads(path.read_bytes())
    except ValueError:  # not JSON, or not UTF-8: written by somebody else
        return {}
    return value if isinstance(value, dict) else {}


def clear(out: str | Path) -> None:
    """Remove what an earlier run left in `out`, and nothing else.

    The summary goes first and the work area last: cut off in between, the folder is that of a run that has done
    nothing yet, never a finished one with missing files.
    """
    path = Path(out)
    if path.is_dir():
        (path / WORK).mkdir(exist_ok=True)
    for name in (f"{WORK}/{RUN}", *reversed(PUBLIC), WORK):
        _remove(path / name)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _difference(before: Mapping[str, Any], now: Mapping[str, Any], name: str) -> str:
    """What it was and what it is; of a recipe only the lines that changed."""
    old, new = str(before.get(name)).splitlines(), str(now[name]).splitlines()
    was, is_now = [line for line in old if line not in new], [line for line in new if line not in old]
    return f"{name}: {_short(was)} before, {_short(is_now)} now"


def _short(lines: list[str]) -> str:
    text = "; ".join(lines) or "nothing"
    return text if len(text) <= 200 else text[:197] + "..."
