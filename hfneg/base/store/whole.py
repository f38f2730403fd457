"""Whether everything in the store is what was written, and setting aside what is not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from hfneg.base import store
from hfneg.base.files import checksums
from hfneg.base.files.checksums import Fault
from hfneg.base.store import layout, old_files, score_files
from hfneg.base.store.layout import LOCKS, SCORES
from hfneg.base.store.old_files import part_fault
from hfneg.base.store.score_files import Segment
from hfneg.base.store.scores import ScoreStore
from hfneg.errors import DamagedError

VECTORS = "vectors"

AGAIN = {
    "corpus": "made again when its documents are given again (Corpus.from_dataset, mine)",
    "anchors": "made again when the pairs are given again (Anchors, mine)",
    "candidates": "made again when they are given again (candidates_from)",
    SCORES: "asked again when they are needed; scores in other files are kept",
}
"""When what was set aside comes back; all other kinds when they are next needed."""


class Checked(NamedTuple):
    """A kind of artefact: how many there are, their bytes, how many of them have no checksums, what is damaged."""

    kind: str
    artefacts: int
    nbytes: int
    without: int
    faults: tuple[Fault, ...]


class SetAside(NamedTuple):
    """A damaged artefact, or a file of one, that has another name now."""

    kind: str
    path: Path

    @property
    def again(self) -> str:
        """When it is made again, in words."""
        return AGAIN.get(self.kind, "made again when it is next needed")


def verify_store() -> list[Checked]:
    """Read everything in the store and compare it with its checksums, kind by kind; nothing is changed.

    Of artefacts of earlier versions, which have none, only what sizes and headers tell. Raises StoreError where
    something may not be read, or is of a newer version.
    """
    from datasets.utils import tqdm

    checksums.forget()
    kinds = {kind: _artefacts(kind) for kind in _kinds()}
    sizes = {path: store.size_of(path) for paths in kinds.values() for path in paths}
    checked = []
    with tqdm(total=sum(sizes.values()), desc="Verifying", unit="B", unit_scale=True) as bar:
        for kind, paths in kinds.items():
            found: list[Fault] = []
            for path in paths:
                found += _faults(kind, path)
                bar.update(sizes[path])
            without = sum(not _has_checksums(kind, path) for path in paths)
            checked.append(Checked(kind, len(paths), sum(sizes[path] for path in paths), without, tuple(found)))
    return checked


def repair_store() -> list[SetAside]:
    """Verify everything, and set aside as ``*.damaged`` what is damaged, so that it is made again; what was.

    Of vectors and of a teacher's scores the damaged files, of all other kinds the artefact. Nothing is deleted.
    """
    checksums.forget()
    return [SetAside(kind, aside) for kind in _kinds() for path in _artefacts(kind) for aside in _repair(kind, path)]


def add_checksums() -> int:
    """Give artefacts of earlier versions checksums of what they are now; how many got some.

    From then on a change is noticed; what was damaged before is taken for whole where sizes and headers are right.
    """
    added = 0
    for kind in _kinds():
        for path in _artefacts(kind):
            if not _has_checksums(kind, path) and not any(_faults(kind, path)):
                _seal_parts(path) if kind == VECTORS else checksums.write_folder(path)
                added += 1
    return added


def set_aside_before() -> list[Path]:
    """What was set aside and still takes room."""
    return sorted(path for kind in _kinds() for path in (store.checked_root() / kind).rglob("*.damaged*"))


def _kinds() -> list[str]:
    return [kind for kind in sorted(layout.KINDS) if (store.checked_root() / kind).is_dir()]


def _artefacts(kind: str) -> list[Path]:
    """What has the name of an artefact of this kind, whatever it is; nothing that hfneg did not name."""
    named = layout.TEACHER if kind == SCORES else layout.DIGEST
    return sorted(path for path in (store.checked_root() / kind).iterdir() if named.fullmatch(path.name))


def _faults(kind: str, path: Path) -> Iterator[Fault]:
    """All damaged files of an artefact, or the first where it has no checksums."""
    with store.unreadable_is_said():
        if not path.is_dir():
            yield Fault(path, "it is no folder")
        elif kind == SCORES:
            yield from _each(_segment_fault, [path / name for name in score_files.live(score_files.listing(path))])
        elif kind == VECTORS:
            yield from _each(_vectors_fault, sorted(path.glob("[!.]*")))
        elif checksums.there(manifest := path / checksums.MANIFEST):
            yield from checksums.faults(manifest, path)
        else:
            yield from _each(old_files.fault, [path])


def _each(look: Callable[[Path], Fault | None], paths: list[Path]) -> Iterator[Fault]:
    yield from (fault for fault in map(look, paths) if fault is not None)


def _segment_fault(path: Path) -> Fault | None:
    try:
        Segment(path).verify()
    except DamagedError as error:
        return Fault(path, str(error).removeprefix(f"{path} is damaged (").partition("). ")[0])
    except FileNotFoundError:  # merged meanwhile
        return None
    return None


def _vectors_fault(path: Path) -> Fault | None:
    if ".damaged" in path.name:
        return None
    if path.suffix == ".npy":
        return part_fault(path)
    try:
        checksums.unsigned(json.loads(path.read_bytes()))
    except (ValueError, AttributeError, IsADirectoryError) as error:
        return Fault(path, str(error))
    return None


def _has_checksums(kind: str, path: Path) -> bool:
    if kind == SCORES or not path.is_dir():
        return True
    if kind == VECTORS:
        return all(checksums.is_sealed(part) for part in path.glob("[!.]*.npy") if part.is_file())
    return checksums.there(path / checksums.MANIFEST)


def _repair(kind: str, path: Path) -> list[Path]:
    if kind == SCORES and path.is_dir():
        return ScoreStore(path.name).repair()
    if kind == VECTORS and path.is_dir():
        return [_move_part(fault) for fault in _faults(kind, path)]
    fault = next(_faults(kind, path), None)
    if fault is None:
        return []
    with store.lock(kind, path.name):
        return [store.set_aside(fault, path)]


def _move_part(fault: Fault) -> Path:
    """Under the lock that `Vectors` takes to write the file."""
    number = fault.path.stem.removeprefix("part-")
    part = f".{int(number) % LOCKS}" if number.isdigit() else ""
    with store.lock(VECTORS, fault.path.parent.name + part):
        return store.set_aside(fault, fault.path)


def _seal_parts(folder: Path) -> None:
    """A sealed copy in the place of each part that has no seal."""
    for path in folder.glob("[!.]*.npy"):
        if not checksums.is_sealed(path):
            store.replace_file(path, partial(_sealed_copy, path))


def _sealed_copy(path: Path, copy: Path) -> None:
    shutil.copy2(path, copy)
    checksums.seal(copy)
