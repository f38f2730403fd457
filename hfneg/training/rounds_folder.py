"""The folder of `rounds`: begun, gone on with, or begun anew; nothing in it is deleted that hfneg did not write."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hfneg.base.files import holding, part_files, temporary
from hfneg.errors import OutputExistsError, ResumeError, SettingError
from hfneg.runs.folder import work_area
from hfneg.training import parts, saved_model
from hfneg.training.round import CHECKPOINT, MINED, RECORD, TRAINER

LOOP = "rounds.json"
ROUND = re.compile(r"round-[0-9]{3,}")


def begin(out: Path, identity: dict[str, Any], *, resume: bool, overwrite: bool, wait: bool) -> None:
    """Make the folder, or find in it the rounds of the same recipe, or remove the ones that are there.

    Raises SettingError, OutputError, OutputExistsError, InUseError, ResumeError.
    """
    if resume and overwrite:
        raise SettingError("resume and overwrite were both asked for; say one of them")
    if out.exists() and not out.is_dir():
        raise OutputExistsError(f"{out} is a file; give a folder")
    work_area.check_place(out)
    if holding.entries(out) and not (out / LOOP).is_file():
        raise OutputExistsError(f"{out} holds files that hfneg.rounds did not write; give another folder")
    with holding.held(out, wait=wait):
        there = (out / LOOP).is_file()
        if there and not resume and not overwrite:
            raise OutputExistsError(f"{out} holds rounds; resume=True goes on with them, overwrite=True starts anew")
        if there and resume:
            refuse_changed(out, identity)
        if there and overwrite:
            _clear(out)
        part_files.save_facts(out / LOOP, identity)


def refuse_changed(out: Path, now: dict[str, Any]) -> None:
    """Raise ResumeError where the rounds in the folder are of other inputs."""
    before = part_files.read_facts(
        out / LOOP, "nobody knows what the rounds beside it belong to: overwrite=True begins anew"
    )
    changed = [name for name in now if before.get(name) != now[name]]
    if changed:
        name = changed[0]
        if all(one.startswith("training.") for one in changed):
            raise ResumeError(
                f"{out} holds rounds of another training: {', '.join(changed)} changed ({name}: {before.get(name)!r} "
                f"before, {now[name]!r} now); give the same, or go on from a round in another folder (start=, --start "
                f"{out}/round-001), or overwrite"
            )
        raise ResumeError(
            f"{out} holds rounds of other inputs: {', '.join(changed)} changed ({name}: {before.get(name)!r} before, "
            f"{now[name]!r} now); give the same, or overwrite, or another folder"
        )


def sweep(out: Path) -> None:
    """Delete what processes that are gone have left half written or half removed; while the folder is held."""
    temporary.sweep_held(out)
    for folder in _rounds(out):
        temporary.sweep_held(folder)
        temporary.sweep_held(folder / TRAINER)


def _clear(out: Path) -> None:
    """Remove all rounds, the last one first, each first of all what says that it is one; other files stay."""
    for folder in _rounds(out):
        work_area.check(folder / MINED, resume=False, overwrite=True)
        saved_model.refuse_foreign(folder / CHECKPOINT)
        parts.refuse_foreign(folder / TRAINER)
    for folder in reversed(_rounds(out)):
        temporary.remove(folder / RECORD)
        temporary.remove(folder / CHECKPOINT)
        parts.forget(folder / TRAINER)
        if (folder / MINED).is_dir():
            work_area.clear(folder / MINED)
        temporary.sweep_held(folder)
        for left in (folder / MINED, folder):
            if left.is_dir() and not any(left.iterdir()):
                left.rmdir()


def _rounds(out: Path) -> list[Path]:
    return sorted(path for path in out.glob("round-*") if ROUND.fullmatch(path.name) and path.is_dir())
