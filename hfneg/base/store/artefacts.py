"""What the store holds beside teachers' scores, and how to be rid of what can be made again."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from hfneg.base import store
from hfneg.base.files import holding, temporary
from hfneg.base.store import layout
from hfneg.base.store.layout import SCORES
from hfneg.errors import SettingError, StoreError, near_miss

LASTING = ("anchors", "corpus", SCORES)
"""Mined folders name their corpus and anchors, and teachers' scores have commands of their own."""

PATIENCE = 24 * 3600.0
"""Seconds after which `clear` takes what an unknown process, on another machine say, has not written to."""


class StoredKind(NamedTuple):
    """A kind of artefact: how many there are, and their bytes on disk."""

    kind: str
    artefacts: int
    nbytes: int


def stored_kinds() -> list[StoredKind]:
    """All kinds in the store by name, scores too; "scratch" is what runs are at work on, or killed ones have left."""
    root = store.checked_root()
    return [
        _sized(kind, [*layout.artefacts_in(root, kind, follow=True), *layout.passing_in(root, kind)])
        for kind in _kinds(root)
    ]


def not_ours() -> list[str]:
    """What lies in the store and hfneg did not write, or lies behind a link; `clear` and `prune` keep it."""
    return layout.foreign(store.checked_root())


def clearable(kinds: Iterable[str] | None = None, *, older_than: timedelta | None = None) -> Mapping[str, list[Path]]:
    """What `clear` deletes, by kind: all artefacts of `kinds`, or of all kinds that are made again when needed.

    With `older_than` only those in which no file was written for so long. With each kind goes what killed processes
    have left of it; what live ones are at work on stays, and so does all that hfneg did not write.

    Raises SettingError for a kind that the store has not, and for corpora, anchors and scores, which it keeps.
    """
    root = store.checked_root()
    there = [kind for kind in _kinds(root) if kind not in LASTING]
    chosen = there if kinds is None else list(dict.fromkeys(kinds))
    for kind in chosen:
        if kind in LASTING:
            raise SettingError(f"clear does not delete {kind}: mined folders need corpus and anchors; scores: prune")
        if kind not in there:
            raise SettingError(
                f"the store {root} has no {kind!r} to clear; it has {', '.join(there) or 'none'}."
                f"{near_miss(kind, there)}"
            )
    left = [*chosen, *(LASTING if kinds is None else ())]  # of these only what killed processes have left
    found = {kind: [*_artefacts(root, kind), *layout.leftovers_in(root, kind, PATIENCE)] for kind in left}
    old = {kind: [path for path in paths if _is_old(path, older_than)] for kind, paths in found.items()}
    return {kind: paths for kind, paths in old.items() if paths}


def clear(kinds: Iterable[str] | None = None, *, older_than: timedelta | None = None) -> list[StoredKind]:
    """Delete what can be made again: vectors, indexes, converted models and so on; arguments as for `clearable`.

    Not while something is mined with this store. Cut off at any moment, each artefact is there whole or not at all.
    Returns what was deleted. Raises StoreError where something cannot be deleted.
    """
    return delete(clearable(kinds, older_than=older_than))


def delete(found: Mapping[str, list[Path]]) -> list[StoredKind]:
    """Delete what `clearable` found."""
    gone = sized(found)
    for path in (path for paths in found.values() for path in paths):
        try:
            store.remove(path)
        except OSError as error:
            raise StoreError(f"cannot delete {path} ({error.strerror or error}); the rest was not touched") from error
    return gone


def sized(found: Mapping[str, list[Path]]) -> list[StoredKind]:
    """How many of each kind, and their bytes."""
    return [_sized(kind, paths) for kind, paths in found.items()]


def _kinds(root: Path) -> list[str]:
    return [kind for kind in sorted((*layout.KINDS, layout.SCRATCH)) if (root / kind).is_dir()]


def _artefacts(root: Path, kind: str) -> list[Path]:
    """Without runs that a process is at work on."""
    found = [] if kind in LASTING else layout.artefacts_in(root, kind)
    return [path for path in found if holding.holder(path) is None] if kind == layout.MINED else found


def _sized(kind: str, artefacts: list[Path]) -> StoredKind:
    return StoredKind(kind, len(artefacts), sum(map(store.size_of, artefacts)))


def _is_old(path: Path, older_than: timedelta | None) -> bool:
    return older_than is None or timedelta(seconds=time.time() - temporary.newest(path)) > older_than
