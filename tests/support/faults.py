"""What happens to files: cut short, grown, bits flipped, pages zeroed, overwritten, gone."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

PAGE = 4096


def flip(data: bytearray, draw: random.Random) -> bytearray:
    if data:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return data


def zero_page(data: bytearray, draw: random.Random) -> bytearray:
    start = draw.randrange(0, max(len(data), 1), PAGE)
    data[start : start + PAGE] = bytes(len(data[start : start + PAGE]))
    return data


CONTENT: dict[str, Callable[[bytearray, random.Random], bytes]] = {
    "a bit flipped": flip,
    "a bit of its head flipped": lambda data, draw: flip(data[:128], draw) + data[128:],
    "a page zeroed": zero_page,
    "garbage": lambda data, draw: draw.randbytes(len(data)),
}
SIZE: dict[str, Callable[[bytearray, random.Random], bytes]] = {
    "empty": lambda data, draw: b"",
    "a byte short": lambda data, draw: data[:-1],
    "half of it": lambda data, draw: data[: len(data) // 2],
    "a byte more": lambda data, draw: data + b"\0",
}
OTHER = ("missing", "a folder")
ALL = (*SIZE, *CONTENT, *OTHER)


def damage(path: Path, fault: str, draw: random.Random) -> bool:
    """Do it; False where the file is as it was (an empty one cut short)."""
    before = path.read_bytes()
    if fault in OTHER:
        path.unlink()
        if fault == "a folder":
            path.mkdir()
        return True
    after = bytes({**SIZE, **CONTENT}[fault](bytearray(before), draw))
    path.write_bytes(after)
    return after != before


def restore(folder: Path, pristine: Path) -> None:
    """`folder` as it was, and nothing else in it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(pristine, folder)
