"""What the score store holds of which teachers, and how to be rid of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from hfneg import segments, store
from hfneg.errors import SettingError, StoreError
from hfneg.scores import KIND, ScoreStore
from hfneg.segments import Segment

logger = logging.getLogger(__name__)


class StoredTeacher(NamedTuple):
    """What the store keeps of one teacher: its digest, how many scores, and their bytes on disk."""

    digest: str
    scores: int
    nbytes: int


def stored_teachers() -> list[StoredTeacher]:
    """All teachers with scores in the store, by digest. Files that cannot be read count as bytes without scores."""
    folders = sorted(path for path in (store.root() / KIND).glob("[!.]*") if path.is_dir())
    return [StoredTeacher(folder.name, _count(folder), store.size_of(folder)) for folder in folders]


def prune(digests: Iterable[str] | None = None, *, older_than: timedelta | None = None) -> list[StoredTeacher]:
    """Delete the scores of the teachers `digests`, or of those that got none for `older_than`, or both conditions.

    Returns what was deleted. Raises SettingError for a teacher that has none, or where no condition is given.
    """
    if digests is None and older_than is None:
        raise SettingError("prune needs the digests of teachers or older_than=; by itself it deletes nothing")
    there = {teacher.digest: teacher for teacher in stored_teachers()}
    chosen = sorted(there if digests is None else set(digests))
    if unknown := [digest for digest in chosen if digest not in there]:
        raise SettingError(f"the store {store.root()} has no scores of {unknown}; it has those of {sorted(there)}")
    gone = [there[digest] for digest in chosen if older_than is None or _age(store.artefact(KIND, digest)) > older_than]
    for teacher in gone:
        ScoreStore(teacher.digest).delete()
    return gone


def _age(folder: Path) -> timedelta:
    """How long ago a file came into `folder`."""
    return timedelta(seconds=time.time() - folder.stat().st_mtime)


def _count(folder: Path) -> int:
    total = 0
    for name in segments.live(segments.listing(folder)):
        try:
            total += len(Segment(folder / name))
        except (FileNotFoundError, StoreError) as error:
            logger.warning("not counted: %s", error)
    return total
