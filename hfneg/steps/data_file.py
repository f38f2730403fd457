"""`DataFile`: data outside of a step's settings, which counts by its content."""

from __future__ import annotations

import functools
import hashlib
import os
from dataclasses import dataclass
from typing import Any

from hfneg.errors import ProcessError, SettingError
from hfneg.steps.step import Step


@dataclass(frozen=True)
class DataFile(Step):
    """A file that a step of your own reads: a field of that step, so that other content makes it another step.

    What a filter reads besides its settings (a list that its module loads, a global) is not in the fingerprint by which
    `datasets` caches rows and `mine` resumes: rows of the old data would be served. The digest of a DataFile's content
    is, and its ``repr`` is recipe text: ``MyFilter(data=DataFile(path='blocked.txt'))``.

    Raises SettingError where there is no such file; when it is read in another process, ProcessError where its content
    is no longer what the step was pickled with.
    """

    path: str

    def __post_init__(self) -> None:
        if isinstance(self.path, os.PathLike):
            object.__setattr__(self, "path", os.fspath(self.path))
        if not isinstance(self.path, str) or not os.path.isfile(self.path):
            raise SettingError(f"DataFile(path={self.path!r}): there is no such file; give the path of one")

    @property
    def digest(self) -> str:
        """32 hex digits over the content as it is now; read again only where size, times or inode have changed."""
        try:
            stamp = os.stat(self.path)
        except OSError as error:
            raise SettingError(f"DataFile(path={self.path!r}) cannot be read: {error.strerror or error}") from None
        return _digest(self.path, stamp.st_size, stamp.st_mtime_ns, stamp.st_ctime_ns, stamp.st_ino)

    def read_bytes(self) -> bytes:
        """The content."""
        pinned = getattr(self, "_pinned", None)
        if pinned not in (None, self.digest):
            raise ProcessError(f"{self!r} is not the file this step was made with: its content has changed")
        with open(self.path, "rb") as file:
            return file.read()

    def read_text(self) -> str:
        """The content as UTF-8."""
        return self.read_bytes().decode("utf-8")

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_pinned": self.digest}


@functools.lru_cache(maxsize=64)
def _digest(path: str, *stamp: int) -> str:
    state = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        while chunk := file.read(1 << 24):
            state.update(chunk)
    return state.hexdigest()
