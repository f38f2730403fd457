"""Arrays that grow on disk: what is gathered over many batches costs no memory, and comes back mapped.

(Lists of small arrays would, besides what they hold, leave the heap in pieces that are never given back.)
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt


class Spill:
    """Appends arrays by name to files of `folder`; use as a context manager, then `take` them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, tuple[IO[bytes], np.dtype[Any]]] = {}

    def __enter__(self) -> Spill:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.ExitStack() as stack:  # all are closed, also where one cannot write what is left
            for file, _ in self._files.values():
                stack.enter_context(file)

    def append(self, **arrays: npt.NDArray[Any]) -> None:
        for name, values in arrays.items():
            if name not in self._files:
                self._files[name] = (self.folder / f"{name}.spill").open("wb"), values.dtype
            file, dtype = self._files[name]
            file.write(np.ascontiguousarray(values, dtype=dtype).tobytes())

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def take(self, name: str, dtype: Any = None) -> Any:
        """The array that was appended, mapped; an empty one of `dtype` where nothing was."""
        path = self.folder / f"{name}.spill"
        if name not in self._files or not path.stat().st_size:
            return np.empty(0, dtype=self._files[name][1] if name in self._files else dtype)
        return np.memmap(path, dtype=self._files[name][1], mode="r")
