"""What the score store holds of which teachers, and how to be rid of it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from hfneg.base import store
from hfneg.base.store import layout, score_files
from hfneg.base.store.score_files import Segment
from hfneg.base.store.scores import NAME, ScoreStore
from hfneg.errors import SettingError, StoreError

logger = logging.getLogger(__name__)


class StoredTeacher(NamedTuple):
    """What the store keeps of one teacher: its digest, how many scores, their bytes on disk, and what it is called.

    The name is empty where the scores are of an earlier version, which kept none.
    """

    digest: str
    scores: int
    nbytes: int
    name: str = ""


def stored_teachers() -> list[StoredTeacher]:
    """All teachers with scores in the store, by digest. Files that cannot be read count as bytes without scores.

    Folders that hold anything hfneg did not write are left out.
    """
    return list(map(_sized, layout.artefacts_in(store.checked_root(), layout.SCORES, follow=True)))


def prunable(digests: Iterable[str] | None = None, *, older_than: timedelta | None = None) -> list[StoredTeacher]:
    """What `prune` deletes.

    Raises SettingError for a teacher that has none, or whose scores lie behind a link, and where no condition is given.
    """
    if digests is None and older_than is None:
        raise SettingError("prune needs the digests of teachers or older_than=; by itself it deletes nothing")
    there = {path.name: path for path in layout.artefacts_in(store.checked_root(), layout.SCORES)}
    chosen = sorted(there if digests is None else set(digests))
    if unknown := [digest for digest in chosen if digest not in there]:
        raise SettingError(
            f"the store {store.root()} has no scores of {unknown} to delete; it has those of {sorted(there)}"
        )
    return [_sized(there[digest]) for digest in chosen if older_than is None or _age(there[digest]) > older_than]


def prune(digests: Iterable[str] | None = None, *, older_than: timedelta | None = None) -> list[StoredTeacher]:
    """Delete the scores of the teachers `digests`, or of those that got none for `older_than`, or both conditions.

    Returns what was deleted. Raises as `prunable`, and StoreError where something cannot be deleted.
    """
    return delete(prunable(digests, older_than=older_than))


def delete(teachers: Iterable[StoredTeacher]) -> list[StoredTeacher]:
    """Delete what `prunable` found."""
    gone = list(teachers)
    for teacher in gone:
        ScoreStore(teacher.digest).delete()
    return gone


def _sized(folder: Path) -> StoredTeacher:
    return StoredTeacher(folder.name, _count(folder), store.size_of(folder), _name(folder))


def _name(folder: Path) -> str:
    try:
        found = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(found.get("name", "")) if isinstance(found, dict) else ""


def _age(folder: Path) -> timedelta:
    """How long ago a file came into `folder`."""
    return timedelta(seconds=time.time() - folder.stat().st_mtime)


def _count(folder: Path) -> int:
    total = 0
    for name in score_files.live(score_files.listing(folder)):
        try:
            total += len(Segment(folder / name))
        except (FileNotFoundError, StoreError) as error:
            logger.warning("not counted: %s", error)
    return total
