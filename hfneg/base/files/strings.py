"""Many strings in one pair of mapped files, readable as one Arrow array.

Two files, ``NAME.offsets`` (int64, n + 1) and ``NAME.bytes`` (UTF-8), are the two buffers of an Arrow
``large_string`` array: opening maps them, ``take`` copies only what is asked for, and no Python string is
made until somebody wants one. One array instead of many record batches, because ``take`` on a chunked
array of strings first glues the chunks together in RAM.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa


def not_unicode(strings: Sequence[str]) -> int | None:
    """The position of the first string that UTF-8 cannot hold (a lone surrogate), None where there is none."""
    try:
        "".join(strings).encode()
    except UnicodeEncodeError:
        surrogates = (i for i, string in enumerate(strings) if any("\ud800" <= mark <= "\udfff" for mark in string))
        return next(surrogates)
    return None


class StringsWriter:
    """Appends strings to ``folder/name.*``; use as a context manager."""

    def __init__(self, folder: Path, name: str) -> None:
        self._bytes = (folder / f"{name}.bytes").open("wb")
        self._offsets = (folder / f"{name}.offsets").open("wb")
        self._end = 0
        self._offsets.write(np.zeros(1, dtype=np.int64).tobytes())

    def __enter__(self) -> StringsWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._offsets:  # closing writes what is left, which a full disk may not take
            self._bytes.close()

    def append(self, strings: Iterable[str]) -> None:
        self._append([string.encode() for string in strings])

    def append_arrow(self, strings: pa.Array) -> None:
        self._append([string.as_buffer() for string in strings])

    def _append(self, pieces: list[bytes] | list[pa.Buffer]) -> None:
        lengths = np.fromiter((len(memoryview(piece)) for piece in pieces), dtype=np.int64, count=len(pieces))
        ends = self._end + np.cumsum(lengths)
        self._bytes.write(b"".join(pieces))
        self._offsets.write(ends.tobytes())
        if len(ends):
            self._end = int(ends[-1])


def open_strings(folder: Path, name: str) -> pa.LargeStringArray:
    """The strings as one Arrow array over mapped files (no copy)."""
    offsets = pa.memory_map(str(folder / f"{name}.offsets")).read_buffer()
    path = folder / f"{name}.bytes"
    content = pa.memory_map(str(path)).read_buffer() if path.stat().st_size else pa.py_buffer(b"")
    return pa.LargeStringArray.from_buffers(len(offsets) // 8 - 1, offsets, content)
