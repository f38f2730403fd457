"""What the store holds beside teachers' scores, and how to be rid of what can be made again."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from hfneg import store
from hfneg.errors import SettingError
from hfneg.scores import KIND as SCORES

LASTING = ("anchors", "corpus", SCORES)
"""Mined folders name their corpus and anchors, and teachers' scores have commands of their own."""


class StoredKind(NamedTuple):
    """A kind of artefact: how many there are, and their bytes on disk."""

    kind: str
    artefacts: int
    nbytes: int


def stored_kinds() -> list[StoredKind]:
    """All kinds in the store by name, scores too; "scratch" is what runs are at work on, or killed ones have left."""
    return [_sized(kind, _artefacts(kind)) for kind in _kinds()]


def clear(kinds: Iterable[str] | None = None, *, older_than: timedelta | None = None) -> list[StoredKind]:
    """Delete artefacts that are made again when they are next needed: vectors, indexes, converted models and so on.

    Of `kinds`, or of all such kinds; with `older_than` only those in which no file was written for so long. Not while
    something is mined with this store. Returns what was deleted.

    Raises SettingError for a kind that the store has not, and for corpora, anchors and scores, which it keeps.
    """
    there = [kind for kind in _kinds() if kind not in LASTING]
    chosen = there if kinds is None else list(dict.fromkeys(kinds))
    for kind in chosen:
        if kind in LASTING:
            raise SettingError(f"clear does not delete {kind}: mined folders need corpus and anchors; scores: prune")
        if kind not in there:
            raise SettingError(
                f"the store {store.root()} has no {kind!r} to clear; it has {', '.join(there) or 'none'}"
            )
    gone = []
    for kind in chosen:
        old = [path for path in _artefacts(kind) if _is_old(path, older_than)]
        if old:
            gone.append(_sized(kind, old))
        for path in old:
            shutil.rmtree(path)
    return gone


def _kinds() -> list[str]:
    return sorted(path.name for path in store.root().glob("[!.]*") if path.is_dir())


def _artefacts(kind: str) -> list[Path]:
    """With the hidden ones: parts of what is being built, which take room too."""
    return [path for path in (store.root() / kind).iterdir() if path.is_dir()]


def _sized(kind: str, artefacts: list[Path]) -> StoredKind:
    return StoredKind(kind, len(artefacts), sum(map(store.size_of, artefacts)))


def _is_old(folder: Path, older_than: timedelta | None) -> bool:
    if older_than is None:
        return True
    newest = max(os.stat(path).st_mtime for path in (folder, *folder.rglob("*")))
    return timedelta(seconds=time.time() - newest) > older_than
