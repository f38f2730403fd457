"""What judges said in words, kept beside their scores: JSON lines, in files that are named by their content."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from hfneg.base import store
from hfneg.base.hashing import Hashes
from hfneg.base.store.layout import SCORES

SUFFIX = ".answers"
LONGEST = 4_000  # characters of an answer that are kept


def key_of(key: Hashes) -> str:
    """32 hex digits of one pair's key (HASH [])."""
    return f"{int(key['high']):016x}{int(key['low']):016x}"


def put(digest: str, keys: Hashes, answers: Iterable[str]) -> None:
    """Keep the answers of a teacher on pairs, HASH [n]; on the disk when this returns, whole or not at all."""
    lines = [
        json.dumps({"pair": key_of(key), "answer": answer[:LONGEST]}) + "\n"
        for key, answer in zip(keys, answers, strict=True)
    ]
    if not lines:
        return
    content = "".join(lines).encode()
    store.made_root()
    folder = store.artefact(SCORES, digest)
    folder.mkdir(parents=True, exist_ok=True)
    store.replace_file(folder / f"{_name(content)}{SUFFIX}", lambda partial: partial.write_bytes(content), at=folder)


def get(digest: str) -> Mapping[str, str]:
    """Pair (see `key_of`) -> what was said; of several answers on one pair any one. Damaged files count for nothing."""
    folder = store.artefact(SCORES, digest)
    with contextlib.suppress(OSError):
        return _read(folder, tuple(sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX))))
    return {}


@lru_cache(maxsize=4)
def _read(folder: Path, names: tuple[str, ...]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name in names:
        content = (folder / name).read_bytes()
        if name == f"{_name(content)}{SUFFIX}":
            rows = map(json.loads, content.splitlines())
            found.update((row["pair"], row["answer"]) for row in rows)
    return found


def _name(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
