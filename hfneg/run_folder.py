"""The output folder of a run: begun, gone on with, or finished; never half of something.

While a run works, everything lies in ``OUT/.hfneg``: parts that were renamed into place, so that a part is
there whole or not at all. At the end the finished files are renamed to their places, ``summary.json`` last:
a folder with a summary is complete.
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

WORK = ".hfneg"
SUMMARY = "summary.json"
PUBLIC = ("data", "ledger", "recipe.yaml", "README.md", SUMMARY)


class RunFolder:
    """`out` and the work area in it.

    `identity` is everything the result depends on, by name; a run goes on only where it is the same.
    """

    def __init__(self, out: str | Path, identity: Mapping[str, Any]) -> None:
        self.out = Path(out)
        self.identity = dict(identity)
        self.work = self.out / WORK

    @property
    def complete(self) -> bool:
        return (self.out / SUMMARY).is_file()

    def begin(self) -> None:
        """Make the work area, or find that it belongs to this run.

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
            return
        try:
            self.work.mkdir(parents=True, exist_ok=True)
            store.write_json(self.work / "run.json", self.identity)
        except OSError as error:
            raise OutputError(f"cannot write to {self.out}: {error.strerror or error}") from error

    def _recorded(self) -> dict[str, Any] | None:
        if self.complete:
            recorded = json.loads((self.out / SUMMARY).read_text()).get("identity", {})
        elif (self.work / "run.json").is_file():
            recorded = json.loads((self.work / "run.json").read_text())
        else:
            return None
        return dict(recorded)

    def folder(self, *names: str) -> Path:
        """A folder of the work area."""
        path = self.work.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Move what is finished to its place; safe to repeat after a kill."""
        for name in PUBLIC[:-1]:
            source = self.work / "finished" / name
            if source.exists():
                os.replace(source, self.out / name)
        store.write_json(self.out / SUMMARY, {**summary, "identity": self.identity})
        shutil.rmtree(self.work, ignore_errors=True)


def check(out: str | Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse an output folder that cannot be used, before any work."""
    if resume and overwrite:
        raise SettingError("resume and overwrite were both asked for; say one of them")
    path = Path(out)
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path} is a file; the output must be a folder")
    parent = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write to {path}: no permission in {parent}")
    if not path.is_dir() or not any(path.iterdir()):
        return
    finished = (path / SUMMARY).is_file()
    if not finished and not (path / WORK).is_dir():
        raise OutputExistsError(f"{path} holds files that hfneg did not write; give a new or empty folder")
    if not resume and not overwrite:
        state = "a finished run" if finished else "a run that was cut off"
        raise OutputExistsError(f"{path} holds {state}; say resume to go on with it, or overwrite to start anew")


def clear(out: str | Path) -> None:
    """Remove what an earlier run left in `out`, and nothing else."""
    for name in (*PUBLIC, WORK):
        _remove(Path(out) / name)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _difference(before: Mapping[str, Any], now: Mapping[str, Any], name: str) -> str:
    return f"{name}: {_short(before.get(name))} before, {_short(now[name])} now"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else text[:197] + "..."
