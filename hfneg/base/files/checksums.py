"""Whether a file is what was written: sizes and xxh3 digests, kept beside it or at its end, compared before it is used.

A **manifest** (``checksums.json``) lists the files of a folder that is written once. A **seal** is the last 24 bytes of
a file that stands alone, such as a part of vectors: the digest of all before it. JSON that is rewritten now and then is
**signed**: it has a key ``checksum``. Each is written before the file or folder is renamed into place.

Sizes are compared at every opening, contents at their first use in a process: a file that was found whole is not read
again while its inode, size and time of change stay. There is no limit of size, because it is cheap beside what follows:
in CPU time 1/6 of reading all texts once, 1/36 of a BM25 search and 1/105 of an exact dense search for 1,000 queries
over 100,000 documents (`recipes/benchmarks/checksums.py`). What has no checksum, for an older version wrote it, passes.
"""

from __future__ import annotations

import itertools
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from hfneg.base.files import temporary

MANIFEST = "checksums.json"
SIGNATURE = "checksum"
MARK = b"hfnegsum"
SEAL_BYTES = len(MARK) + 16
CHUNK = 1 << 22
STILL = 100_000_000  # ns: the clock of a file system is coarse, so a file changed just now may change unseen once more

_whole: set[tuple[Any, ...]] = set()
"""Files whose content this process has compared: (device, inode, size, time of change, digest)."""


class Sum(NamedTuple):
    """Size and xxh3 digest (128 bit, hex) of a file."""

    nbytes: int
    xxh3: str


class Fault(NamedTuple):
    """A file that is not what was written, and in which way."""

    path: Path
    what: str

    def __str__(self) -> str:
        return f"{self.path} is damaged ({self.what})"


def sum_of(path: Path) -> Sum:
    """Of the file as it is now; it counts as whole from here on. Raises OSError."""
    status = path.stat()
    found = Sum(status.st_size, digest_of(path, status.st_size))
    remember(status, found.xxh3)
    return found


def digest_of(path: Path, nbytes: int) -> str:
    """xxh3 of the first `nbytes` bytes, hex. Raises OSError. Read, not mapped: a file that is cut short meanwhile
    would end the process."""
    state, buffer = xxhash.xxh3_128(), memoryview(bytearray(min(CHUNK, max(nbytes, 1))))
    with path.open("rb", buffering=0) as file:
        while nbytes > 0 and (count := file.readinto(buffer[: min(len(buffer), nbytes)])):
            state.update(buffer[:count])
            nbytes -= count
    return state.hexdigest()


def is_known(status: os.stat_result, digest: str) -> bool:
    """Whether this process has found that the content of this file, unchanged since, has this digest."""
    return _key(status, digest) in _whole


def remember(status: os.stat_result, digest: str) -> None:
    """Make it known."""
    if abs(time.time_ns() - status.st_mtime_ns) > STILL:
        _whole.add(_key(status, digest))


def forget() -> None:
    """From now on everything is read again once."""
    _whole.clear()


def _key(status: os.stat_result, digest: str) -> tuple[Any, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, digest


def _status(path: Path) -> os.stat_result | str:
    """Of a regular file, or what is wrong. Raises PermissionError: a file of somebody else is not a damaged one."""
    try:
        status = path.stat()
    except PermissionError:
        raise
    except FileNotFoundError:
        return "it is missing"
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
    return status if stat.S_ISREG(status.st_mode) else "it is no file"


def _differs(path: Path, status: os.stat_result, digest: str, nbytes: int) -> str | None:
    """What is wrong with the content; None where it is as written."""
    if is_known(status, digest):
        return None
    try:
        found = digest_of(path, nbytes)
    except PermissionError:
        raise
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
    if found != digest:
        return "its checksum differs"
    remember(status, digest)
    return None


# Manifests.


def write(manifest: Path, root: Path, files: Iterable[Path]) -> None:
    """The sums of `files`, all below `root`, into `manifest`. Raises OSError."""
    sums = {path.relative_to(root).as_posix(): [sum_of(path)] for path in files}
    _save(manifest, sums)


def write_folder(folder: Path) -> None:
    """Of all files in a folder, into its own manifest."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    write(folder / MANIFEST, folder, files)


def _save(manifest: Path, sums: Mapping[str, list[Sum]]) -> None:
    partial = temporary.beside(manifest)
    try:
        partial.write_text(json.dumps(signed({"version": 1, "files": sums}), indent=1), encoding="utf-8")
        os.replace(partial, manifest)
    finally:
        partial.unlink(missing_ok=True)


def there(manifest: Path) -> bool:
    """Whether sums were written; not whether they can be read."""
    return manifest.exists()


def faults(manifest: Path, root: Path, *, below: str = "", content: bool = True) -> Iterator[Fault]:
    """What is damaged of what the manifest lists (under the folder `below`); sizes only without `content`.

    Nothing where there is no manifest. Files that it does not list are of no account.
    """
    if not there(manifest):
        return
    try:
        sums = _load(manifest)
    except PermissionError:
        raise
    except (OSError, ValueError, TypeError) as error:
        yield Fault(manifest, getattr(error, "strerror", None) or str(error) or type(error).__name__)
        return
    for name, allowed in sums.items():
        if name.startswith(below) and (what := _fault_of(root / name, allowed, content)) is not None:
            yield Fault(root / name, what)


def file_fault(path: Path, written: Sum) -> Fault | None:
    """What is wrong with one file; None where it is as it was written."""
    what = _fault_of(path, [written], content=True)
    return None if what is None else Fault(path, what)


def fault(manifest: Path, root: Path, *, below: str = "", content: bool = True) -> Fault | None:
    """The first of `faults`."""
    return next(faults(manifest, root, below=below, content=content), None)


def names(manifest: Path) -> list[str]:
    """The files that it lists. Raises OSError, ValueError."""
    return list(_load(manifest))


def allow(manifest: Path, name: str, successor: Path) -> None:
    """From now on the file may also be what `successor` is now, which is about to take its place."""
    if there(manifest):
        sums = _load(manifest)
        sums[name] = [*sums.get(name, []), sum_of(successor)]
        _save(manifest, sums)


def settle(manifest: Path, root: Path) -> None:
    """Of several sums that a file was allowed only that remains which it has."""
    if there(manifest):
        sums = _load(manifest)
        _save(manifest, {n: [sum_of(root / n)] if len(allowed) > 1 else allowed for n, allowed in sums.items()})


def _load(manifest: Path) -> dict[str, list[Sum]]:
    value = json.loads(manifest.read_bytes())
    if not isinstance(value, dict) or SIGNATURE not in value:
        raise ValueError("it is no list of checksums")
    return {name: [Sum(*one) for one in allowed] for name, allowed in unsigned(value)["files"].items()}


def _fault_of(path: Path, allowed: list[Sum], content: bool) -> str | None:
    status = _status(path)
    if isinstance(status, str):
        return status
    possible = [one for one in allowed if one.nbytes == status.st_size]
    if not possible:
        return f"{status.st_size:,} bytes instead of {allowed[-1].nbytes:,}"
    if not content:
        return None
    wrong = [_differs(path, status, one.xxh3, one.nbytes) for one in possible]
    return None if None in wrong else wrong[-1]


# Seals.


def seal(path: Path) -> None:
    """Append its seal to a file that is written to the end, and bring both to the disk. Raises OSError."""
    digest = digest_of(path, path.stat().st_size)
    with path.open("ab") as file:
        file.write(MARK + bytes.fromhex(digest))
        file.flush()
        os.fsync(file.fileno())


def is_sealed(path: Path) -> bool:
    """Whether its last bytes are a seal, true or not. Raises OSError."""
    with path.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - SEAL_BYTES, 0))
        return file.read().startswith(MARK)


def seal_fault(path: Path) -> Fault | None:
    """What is wrong with a sealed file; None where it is whole."""
    status = _status(path)
    if isinstance(status, str):
        return Fault(path, status)
    try:
        if not is_sealed(path):
            return Fault(path, "it does not end with its checksum: cut short, or of an earlier version")
        with path.open("rb") as file:
            file.seek(-16, os.SEEK_END)
            digest = file.read().hex()
    except PermissionError:
        raise
    except OSError as error:
        return Fault(path, f"it cannot be read: {error.strerror or error}")
    what = _differs(path, status, digest, status.st_size - SEAL_BYTES)
    return None if what is None else Fault(path, what)


# Signed JSON.


def signed(value: Mapping[str, Any]) -> dict[str, Any]:
    """With the key ``checksum``, over all others."""
    return {**value, SIGNATURE: _signature(value)}


def unsigned(value: Mapping[str, Any]) -> dict[str, Any]:
    """Without it. Raises ValueError where it is not that of the others; what has none is as it is."""
    rest = {key: content for key, content in value.items() if key != SIGNATURE}
    if SIGNATURE in value and value[SIGNATURE] != _signature(rest):
        raise ValueError("its checksum differs")
    return rest


def _signature(value: Mapping[str, Any]) -> str:
    read_back = json.loads(json.dumps(value))  # keys that are numbers become texts, tuples lists
    return xxhash.xxh3_128_hexdigest(json.dumps(read_back, sort_keys=True).encode())


# What is to be done with it.


def set_aside(path: Path) -> Path:
    """Rename a file or folder to ``NAME.damaged`` (or ``NAME.damaged-2``, ...); its new path. Raises OSError."""
    for number in itertools.count(1):
        aside = path.with_name(f"{path.name}.damaged{f'-{number}' if number > 1 else ''}")
        if not os.path.lexists(aside):
            os.rename(path, aside)
            return aside
    raise AssertionError("unreachable")
