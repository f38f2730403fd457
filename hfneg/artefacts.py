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
    found = []
    for folder in sorted(path for path in store.root().glob("[!.]*") if path.is_dir()):
        # hidden ones: parts of what is being built, which take room too
        artefacts = [path for path in folder.iterdir() if path.is_dir()]
        found.append(StoredKind(folder.name, len(artefacts), sum(map(_bytes, artefacts))))
    return found


def clear(kinds: Iterable[str] | None = None, *, older_than: timedelta | None = None) -> list[StoredKind]:
    """Delete artefacts that are made again when they are next needed: vectors, indexes, converted models and so on.

    Of `kinds`, or of all such kinds; with `older_than` only those in which no file was written for so long. Not while
    something is mined with this store. Returns what was deleted.

    Raises SettingError for a kind that the store has not, and for corpora, anchors and scores, which it keeps.
    """
    there = [found.kind for found in stored_kinds() if found.kind not in LASTING]
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
        old = [path for path in (store.root() / kind).iterdir() if path.is_dir() and _is_old(path, older_than)]
        if old:
            gone.append(StoredKind(kind, len(old), sum(map(_bytes, old))))
        for path in old:
            shutil.rmtree(path)
    return gone


def _is_old(folder: Path, older_than: timedelta | None) -> bool:
    if older_than is None:
        return True
    newest = max(os.stat(path).st_mtime for path in (folder, *folder.rglob("*")))
    return timedelta(seconds=time.time() - newest) > older_than


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
