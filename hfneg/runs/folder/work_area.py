"""The output folder of a run: begun, gone on with, or finished; never half of something.

While a run works, everything lies in ``OUT/.hfneg``: parts that were renamed into place, so that a part is
there whole or not at all. At the end ``.hfneg/finished`` gets its summary, which says that all is there, and
its files are renamed to their places, ``summary.json`` last: a folder with a summary is complete.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hfneg.base.files import checksums, holding, part_files, temporary
from hfneg.base.files.checksums import MANIFEST, Fault
from hfneg.data.files.readable import check_name
from hfneg.errors import OutputError, OutputExistsError, ResumeError, SettingError

log = logging.getLogger(__name__)

WORK = ".hfneg"
RUN = "run.json"
SUMMARY = "summary.json"
PUBLIC = ("data", "ledger", "recipe.yaml", "README.md", "statistics.json", MANIFEST, SUMMARY)
OWN_FILES = re.compile(r"[\w.]+-[0-9]{5,}-of-[0-9]{5,}\.parquet")
"""In ``data/`` and ``ledger/``; anything else there is somebody else's."""

PATTERNS = re.compile(r"[*?\[\]]|::")
"""What `load_dataset` does not read as a part of a path: it would find nothing there, or other folders' rows."""


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

        Only while the folder is `taken`. Raises ResumeError naming what changed, OutputError where the folder cannot be
        written, or is finished and damaged.
        """
        temporary.sweep_held(self.out)
        temporary.sweep_held(self.work, deep=True)
        before = self._recorded()
        if before is not None:
            changed = [name for name in self.identity if before.get(name) != self.identity[name]]
            if changed:
                raise ResumeError(
                    f"{self.out} was begun with other inputs: {', '.join(changed)} changed "
                    f"({_difference(before, self.identity, changed[0])}); give the same inputs, or overwrite, or "
                    "another output folder"
                )
            if self.complete or _identity_of(self.finished / SUMMARY) is not None:
                self._move()
                self._refuse_damaged()
            for name in ("recipe.yaml", "README.md", MANIFEST, SUMMARY):  # written last, and so again
                _remove(self.finished / name)
            return
        try:
            _remove(self.work)  # what lies there without the record of a run is of a run that was being removed
            self.work.mkdir(parents=True)
            part_files.save_facts(self.work / RUN, self.identity)
        except OSError as error:
            raise OutputError(f"cannot write to {self.out}: {error.strerror or error}") from error

    def _refuse_damaged(self) -> None:
        if (fault := fault_in(self.out)) is not None:
            raise OutputError(f"{fault}; overwrite=True mines again, or copy the whole folder from where it was made")

    def _recorded(self) -> dict[str, Any] | None:
        if self.complete:
            return _identity_of(self.out / SUMMARY)
        if not (self.work / RUN).exists():
            return None
        recorded = part_files.load_facts(self.work / RUN)
        if recorded is None:  # nobody knows what its parts belong to
            log.warning("the run in %s begins anew; its parts are in %s now", self.out, checksums.set_aside(self.work))
        return recorded

    def folder(self, *names: str) -> Path:
        """A folder of the work area."""
        path = self.work.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def leave_if_idle(self) -> None:
        """Remove the work area again where no part of any work was finished in it: nothing is lost, nothing left."""
        files = (path for path in self.work.rglob("*") if path.is_file() and not temporary.is_temporary(path.name))
        if any(path.name != RUN for path in files):
            return
        temporary.remove(self.work)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Move what is finished to its place; a kill in between leaves the rest to the next `begin`."""
        temporary.sweep_held(self.finished, deep=True)  # of a worker that was killed
        for aside in self.finished.glob("*/*.damaged*"):  # it was made again
            _remove(aside)
        files = [self.finished / "recipe.yaml", *self.finished.glob("data/*"), *self.finished.glob("ledger/*")]
        checksums.write(self.finished / MANIFEST, self.finished, sorted(files))
        part_files.save_facts(self.finished / SUMMARY, {**summary, "identity": self.identity})
        self._move()

    def _move(self) -> None:
        for name in PUBLIC:
            source = self.finished / name
            if source.exists():
                _remove(self.out / name)
                os.replace(source, self.out / name)
        temporary.remove(self.work)


@contextlib.contextmanager
def taken(out: str | Path, *, resume: bool, overwrite: bool, wait: bool) -> Iterator[None]:
    """The output folder for one run alone, checked before and, as another may have ended meanwhile, after."""
    check(out, resume=resume, overwrite=overwrite, wait=wait)
    with holding.held(Path(out), wait=wait):
        _check_state(Path(out), resume=resume, overwrite=overwrite)
        yield


def check(out: str | Path, *, resume: bool, overwrite: bool, wait: bool = False) -> None:
    """Refuse an output folder that cannot be used, before any work."""
    check_place(out)
    if resume and overwrite:
        raise SettingError("resume and overwrite were both asked for; say one of them")
    owner = holding.holder(Path(out))
    if owner is None:
        _check_state(Path(out), resume=resume, overwrite=overwrite)
    elif not wait:
        raise holding.in_use(out, owner)


def refuse_patterns(path: str | Path) -> None:
    """Raise OutputError for a folder in which `load_dataset` would not find its rows, or would find others."""
    place = os.path.abspath(path)
    found = PATTERNS.search(place)
    if found is not None:
        raise OutputError(
            f"{path}: load_dataset, which opens it afterwards, reads {found.group()!r} in {place} as a pattern "
            "or a file system; give a folder without *, ?, [, ] and ::"
        )
    if not os.path.isabs(path) and any(":" in part for part in Path(path).parts[:1]):
        raise OutputError(f"{path}: pyarrow takes what stands before the colon for a file system; give {place}")
    if str(path).startswith("~"):
        raise OutputError(f"{path}: pyarrow takes ~ for a home folder; give {place}, or that folder's path")


def check_place(out: str | Path) -> None:
    """What can be said of the path alone."""
    if not isinstance(out, str | os.PathLike) or not str(out) or "\0" in str(out):
        raise SettingError(f"out={out!r}: expected the path of a folder")
    check_name(out, OutputError)
    refuse_patterns(out)
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


def _check_state(path: Path, *, resume: bool, overwrite: bool) -> None:
    """What lies there must be of hfneg, and somebody must have said what becomes of it."""
    if not holding.entries(path):
        return
    finished = _identity_of(path / SUMMARY) is not None
    lost = not finished and not (path / WORK).is_dir() and _lists_recipe(path / MANIFEST)
    if lost and not overwrite:
        raise OutputError(
            f"{path / SUMMARY} is missing or damaged, and with it what the folder was mined for; overwrite=True mines "
            "again, or copy the whole folder from where it was made"
        )
    if not finished and not lost and not (path / WORK).is_dir():
        raise OutputExistsError(f"{path} holds files that hfneg did not write; give a new or empty folder")
    if not resume and not overwrite:
        state = "a finished run" if finished else "a run that was cut off"
        raise OutputExistsError(f"{path} holds {state}; resume=True goes on with it, overwrite=True starts anew")
    if overwrite or not finished:
        _refuse_foreign(path, begun=not finished and not lost)


def _refuse_foreign(path: Path, *, begun: bool) -> None:
    """What somebody has put between hfneg's files would go with them, or be read as rows of theirs.

    Of a run that is only `begun` nothing has its place yet; the rows are first to get theirs, and last to lose it.
    """
    inside = (file for name in ("data", "ledger") for file in sorted((path / name).glob("*")))
    foreign = [file for file in inside if not OWN_FILES.fullmatch(file.name) and not temporary.is_temporary(file.name)]
    if begun and not (path / "data").is_dir():
        foreign += [path / name for name in PUBLIC if os.path.lexists(path / name)]
    if foreign:
        raise OutputExistsError(
            f"{path} holds files that hfneg did not write among its own: {', '.join(map(str, foreign[:3]))}; move them "
            "elsewhere first"
        )


def _identity_of(summary: Path) -> dict[str, Any] | None:
    """What a finished run depended on; None where the file is not there, damaged, or not hfneg's."""
    try:
        identity = checksums.unsigned(json.loads(summary.read_bytes())).get("identity")
    except (OSError, ValueError, AttributeError):
        return None
    return identity if isinstance(identity, dict) else None


def _lists_recipe(manifest: Path) -> bool:
    """Whether it is that of a finished folder, and not a file of somebody else."""
    try:
        return "recipe.yaml" in checksums.names(manifest)
    except (OSError, ValueError, TypeError, KeyError):
        return False


def fault_in(folder: Path, below: str = "", *, content: bool = True) -> Fault | None:
    """What is damaged of the rows, the ledger and the recipe of a finished folder, or of what lies `below` one in it.

    None for a folder of a version that kept no checksums. Cards may be edited, and other files are nobody's business.
    """
    return checksums.fault(folder / MANIFEST, folder, below=below, content=content)


def clear(out: str | Path) -> None:
    """Remove what an earlier run left in `out`, and nothing else; while it is `taken`, and so checked.

    The summary goes first and the work area last: cut off in between, the folder is that of a run that has done
    nothing yet, never a finished one with missing files.
    """
    path = Path(out)
    if path.is_dir():
        (path / WORK).mkdir(exist_ok=True)
    for name in (f"{WORK}/{RUN}", *reversed(PUBLIC), WORK):
        _remove(path / name)


def _remove(path: Path) -> None:
    temporary.remove(path)


def _difference(before: Mapping[str, Any], now: Mapping[str, Any], name: str) -> str:
    """What it was and what it is; of a recipe only the lines that changed."""
    old, new = str(before.get(name)).splitlines(), str(now[name]).splitlines()
    was, is_now = [line for line in old if line not in new], [line for line in new if line not in old]
    return f"{name}: {_short(was)} before, {_short(is_now)} now"


def _short(lines: list[str]) -> str:
    text = "; ".join(lines) or "nothing"
    return text if len(text) <= 200 else text[:197] + "..."
