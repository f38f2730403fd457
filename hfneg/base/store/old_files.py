"""Whether files without checksums, of earlier versions, can be what they should: what their sizes and headers say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hfneg.base.files import checksums
from hfneg.base.files.checksums import Fault


def fault(folder: Path) -> Fault | None:
    """The first file of a folder that cannot be what its name says; contents may still differ from what was written."""
    for path in sorted(folder.rglob("*")):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            return Fault(path, "it is no file")
        if (found := _file_fault(path)) is not None:
            return found
    return None


def part_fault(path: Path) -> Fault | None:
    """What is wrong with an array that stands alone: sealed, or of a version that had no seals."""
    if path.is_file() and not checksums.is_sealed(path):
        return _file_fault(path)
    return checksums.seal_fault(path)


def _file_fault(path: Path) -> Fault | None:
    try:
        CHECKS.get(path.suffix, _not_empty)(path)
    except PermissionError:
        raise
    except Exception as error:  # NumPy's reader of headers raises many kinds
        return Fault(path, str(error) or type(error).__name__)
    return None


def _not_empty(path: Path) -> None:
    if not path.stat().st_size:
        raise ValueError("0 bytes")


def _array(path: Path) -> None:
    """A header, and as many bytes behind it as it says."""
    array = np.load(path, mmap_mode="r")
    expected = array.offset + array.nbytes
    if path.stat().st_size != expected:
        raise ValueError(f"{path.stat().st_size:,} bytes instead of {expected:,}")


def _json(path: Path) -> None:
    json.loads(path.read_bytes())


def _offsets(path: Path) -> None:
    """Ascending from 0 to the size of the bytes beside it: anything else would be read from outside the file."""
    size = path.stat().st_size
    if size % 8 or not size:
        raise ValueError(f"{size:,} bytes, which is no whole number of offsets")
    offsets = np.memmap(path, dtype=np.int64, mode="r")
    content = path.with_suffix(".bytes")
    end = content.stat().st_size if content.is_file() else -1
    if offsets[0] != 0 or offsets[-1] != end or (offsets[1:] < offsets[:-1]).any():
        raise ValueError(f"its offsets do not fit {content.name}")


CHECKS: dict[str, Callable[[Path], None]] = {
    ".npy": _array,
    ".json": _json,
    ".offsets": _offsets,
    ".bytes": lambda path: None,
}
