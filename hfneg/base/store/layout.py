"""What a store is on disk: a folder with a marker, in it a folder per kind, in these artefacts by digest.

The marker says that the folder is hfneg's to fill and to clear. It is written into a folder that hfneg makes or finds
empty, and into a store of hfneg 0.1.0, which had none and is known by its content. Any other folder is refused: what
lies in it is somebody's. Even in a store only what has a name that hfneg gives is hfneg's (`artefacts_in`); everything
else is kept, and `foreign` names it. Links are never followed to what would be deleted.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from hfneg.base.files import temporary
from hfneg.errors import SettingError, StoreError

MARKER = "hfneg-store.json"
FORMAT = 1  # raise it when an older hfneg could not use the store any more
LOCKS = 64  # parts of vectors share lock files, so that ten million documents leave 64 of them and not 1,221

KINDS: Mapping[str, str] = {
    "anchors": "anchors.json",
    "bm25": "index.json",
    "candidates": "indptr.npy",
    "clusters": "labels.npy",
    "co_positives": "cosines.npy",
    "converted": "model.xml",
    "corpus": "corpus.json",
    "faiss": "index.faiss",
    "mined": "recipe.yaml",
    "near_anchors": "numbers.npy",
    "positives": "",
    "scores": "*.scores",
    "vectors": "part-*.npy",
}
"""Each kind, with a file that its artefacts have ("positives" has only locks)."""

MINED = "mined"
SCORES = "scores"
SCRATCH = "scratch"
DAMAGED = r"(\.damaged(-[0-9]+)?)?"  # what was set aside
DIGEST = re.compile(r"[0-9a-f]{32}")
ARTEFACT = re.compile(DIGEST.pattern + DAMAGED)
TEACHER = re.compile(r"[\w-]{1,128}")  # what may name a teacher's scores
LOCK = re.compile(r"\.[\w.-]+\.lock")
SEGMENT = re.compile(r"(\d{12}-\d{12}-[0-9a-f]{8}\.scores|[0-9a-f]{32}\.answers|teacher\.json)" + DAMAGED)
FILE = re.compile(r".+\.(npy|json|bytes|offsets|bin|xml|faiss|scores|scratch|partial)" + DAMAGED, re.DOTALL)
MINED_FILES = re.compile(
    r"(data|ledger)(/[\w.]+-[0-9]{5,}-of-[0-9]{5,}\.parquet)?|README\.md|[\w-]+\.(json|yaml)|\.hfneg(/.*)?|\.hfneg\.lock",
    re.DOTALL,
)
"""In the folder of a run that was mined into the store, finished or not."""
EARLIER: Mapping[bool, re.Pattern[str]] = {
    False: re.compile(r"\.[\w-]{1,128}\.([0-9]+|[0-9a-f]{32}|merge)\.partial|\.[\w-]{1,128}\.[0-9a-f]{32}\.pruned"),
    True: DIGEST,
}
"""What hfneg 0.1.0 called what it had not finished: in a kind's folder, in the scratch folder."""


def check(root: Path, variable: str) -> bool:
    """Whether `root` is a store already. False where it can become one: it is not there, or empty, or of hfneg 0.1.0.

    Raises SettingError for a folder that is or may be somebody's, StoreError for a store that this version cannot use.
    """
    if not os.path.lexists(root):
        return False
    if not root.is_dir():
        raise SettingError(f"{variable} names {root}, which is not a folder; give a new folder, or a store of hfneg")
    real = Path(os.path.realpath(root))
    if real in (Path(real.anchor), Path(os.path.realpath(os.path.expanduser("~")))):
        raise SettingError(f"{variable} names {root}; give the store a folder of its own, such as {root / 'store'}")
    if (root / MARKER).is_file():
        _refuse_newer(root, variable)
        return True
    try:
        names = sorted(os.listdir(root))
    except OSError as error:
        raise StoreError(
            f"cannot read the store {root} ({error.strerror or error}); set {variable} to another"
        ) from error
    if MARKER in names:  # another process was just making it
        _refuse_newer(root, variable)
        return True
    if names and not is_earlier(root, names):
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise SettingError(
            f"{variable} names {root}, which is no store of hfneg (it has no {MARKER}) and holds other things "
            f"({shown}); give a new or empty folder, such as {root / 'store'}"
        )
    return False


def _refuse_newer(root: Path, variable: str) -> None:
    try:
        facts = json.loads((root / MARKER).read_bytes())
    except (OSError, ValueError):  # cut short as it was written, or made by hand: the name is enough
        return
    version = facts.get("format") if isinstance(facts, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise StoreError(
            f"the store {root} was written by a newer hfneg (format {version}, and this one reads up to {FORMAT}): "
            f"upgrade hfneg, or set {variable} to another folder"
        )


def make(root: Path, variable: str) -> None:
    """Make `root` a store. What it makes is for its owner only; a folder that exists keeps its mode.

    Raises as `check`, and OSError.
    """
    if check(root, variable):
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    try:
        root.mkdir(mode=0o700)
    except FileExistsError:
        if not root.is_dir():
            raise
    earlier = any(root.iterdir())
    try:
        with (root / MARKER).open("x", encoding="utf-8") as file:
            file.write(json.dumps({"what": "a store of hfneg: hfneg store size, clear", "format": FORMAT}) + "\n")
    except FileExistsError:  # another process was first
        return
    except PermissionError:  # a store of hfneg 0.1.0 whose kinds may be written to all the same
        if not earlier:
            raise


def is_earlier(root: Path, names: list[str]) -> bool:
    """Whether a folder without a marker is a store of hfneg 0.1.0: it has an artefact, or only what hfneg names."""
    if any(next(iter(_signed(root, kind)), None) is not None for kind in KINDS):
        return True
    return all(name in (*KINDS, SCRATCH) and not _foreign_in(root, name) for name in names)


def _signed(root: Path, kind: str) -> list[Path]:
    """The artefacts of a kind that have the file which all of the kind have."""
    return [path for path in artefacts_in(root, kind, follow=True) if KINDS[kind] and any(path.glob(KINDS[kind]))]


def artefacts_in(root: Path, kind: str, *, follow: bool = False) -> list[Path]:
    """The finished artefacts of a kind, by name: folders with digests for names, and nothing in them but hfneg's files.

    None where the kind's folder is a link, unless `follow`.
    """
    named, files = (TEACHER, SEGMENT) if kind == SCORES else (ARTEFACT, FILE)
    ours = _is_run if kind == MINED else partial(_is_ours, files=files)
    return [path for path in _entries(root, kind, follow) if named.fullmatch(path.name) and ours(path)]


def passing_in(root: Path, kind: str) -> list[Path]:
    """What is on its way in or out of a kind's folder, or is scratch: of live processes and of dead ones."""
    return [path for path in _entries(root, kind) if temporary.is_temporary(path.name, EARLIER[kind == SCRATCH])]


def leftovers_in(root: Path, kind: str, patience: float = temporary.WEEK) -> list[Path]:
    """What of that no live process uses, as far as is known; see `temporary.leftovers`."""
    return [] if _is_link(root, kind) else temporary.leftovers(root / kind, EARLIER[kind == SCRATCH], patience)


def sweep(root: Path) -> None:
    """Delete what dead processes left in the store."""
    for kind in (*KINDS, SCRATCH):
        if not _is_link(root, kind):
            temporary.sweep(root / kind, EARLIER[kind == SCRATCH])


def foreign(root: Path) -> list[str]:
    """What lies in the store and is not hfneg's, or lies behind a link: paths relative to `root`."""
    try:
        names = sorted(os.listdir(root))
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        if name in (*KINDS, SCRATCH):
            found += (
                [f"{name}/ (a link)"] if _is_link(root, name) else [f"{name}/{one}" for one in _foreign_in(root, name)]
            )
        elif name != MARKER:
            found.append(f"{name}/" if (root / name).is_dir() else name)
    return found


def _foreign_in(root: Path, kind: str) -> list[str]:
    """Names in a kind's folder that hfneg did not give; the kind's own where it is no folder."""
    if not (root / kind).is_dir():
        return [""]
    ours = {path.name for path in (*artefacts_in(root, kind), *passing_in(root, kind))}
    return [path.name for path in _entries(root, kind) if path.name not in ours and not LOCK.fullmatch(path.name)]


def _entries(root: Path, kind: str, follow: bool = False) -> list[Path]:
    """What lies in the kind's folder; nothing where that is a link."""
    if not (root / kind).is_dir() or (_is_link(root, kind) and not follow):
        return []
    try:
        return sorted((root / kind).iterdir())
    except PermissionError as error:
        raise StoreError(f"cannot read {root / kind} ({error.strerror}); make it readable") from error


def _is_link(root: Path, kind: str) -> bool:
    return (root / kind).is_symlink()


def _is_run(folder: Path) -> bool:
    """A folder that `mine` has written or is writing, with nothing else in it, no link and no folder but its own."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    try:
        for place, folders, files in os.walk(folder):
            names = [os.path.relpath(os.path.join(place, name), folder) for name in (*folders, *files)]
            if any((folder / name).is_symlink() for name in names):
                return False
            if not all(MINED_FILES.fullmatch(name) or temporary.is_temporary(os.path.basename(name)) for name in names):
                return False
    except (FileNotFoundError, PermissionError):
        return False
    return True


def _is_ours(folder: Path, files: re.Pattern[str]) -> bool:
    """A folder of files with names such as hfneg gives them, no link and no folder among them."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    try:
        with os.scandir(folder) as entries:
            return all(entry.is_file(follow_symlinks=False) and files.fullmatch(entry.name) for entry in entries)
    except (FileNotFoundError, PermissionError):  # just deleted; or somebody else's in a store that is shared
        return False
