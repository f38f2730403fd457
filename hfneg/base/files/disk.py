"""Writing so that a full disk is an error that says so: never a signal, never a file that lacks its end."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy.typing as npt

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
WORDS = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))
SHORT = re.compile(r"\d+ requested and \d+ written")
ZEROS = 1 << 20


def full_disk_in(error: BaseException | None) -> BaseException | None:
    """The error for want of space that `error` is, or was raised from; None where there is none.

    safetensors, Arrow and FAISS have errors of their own with the system's words in them; NumPy says how much it wrote;
    `datasets` raises another error from the system's.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        text = str(error)
        if getattr(error, "errno", None) in FULL or any(words in text for words in WORDS):
            return error
        if isinstance(error, OSError) and SHORT.fullmatch(text):
            return error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def reserve(file: BinaryIO, nbytes: int) -> None:
    """Make `file` (open for writing) `nbytes` long, on the disk: zeros behind what it holds. Raises OSError.

    A file that is only as long as it says gets its space when it is written; in a mapped one, a full disk then ends
    the process with a signal.
    """
    file.flush()
    there = os.fstat(file.fileno()).st_size
    if nbytes <= there:
        return
    try:
        os.posix_fallocate(file.fileno(), there, nbytes - there)
    except (AttributeError, OSError) as error:
        if getattr(error, "errno", None) not in (None, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        file.seek(there)  # where the system cannot reserve
        for start in range(there, nbytes, ZEROS):
            file.write(bytes(min(ZEROS, nbytes - start)))
        file.flush()


def save_array(path: Path, array: npt.ArrayLike, *, durable: bool = False) -> None:
    """The same file as `numpy.save`, at exactly `path`; with `durable` on the disk when this returns. Raises OSError.

    (`numpy.save` leaves the end of an array to the C library, and does not look whether it got to the disk: where
    that is full, the file is cut short without an error.)
    """
    import numpy as np

    with path.open("wb") as file:
        np.lib.format.write_array(_Sink(file), np.asanyarray(array), allow_pickle=False)
        file.flush()
        if durable:
            os.fsync(file.fileno())


def create_mapped(path: Path, dtype: npt.DTypeLike, size: int) -> Any:
    """A new ``.npy`` file of `size` zeros, mapped for writing, its space reserved. Raises OSError."""
    import numpy as np

    with path.open("wb") as file:
        facts = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": (size,)}
        np.lib.format.write_array_header_1_0(file, facts)
        reserve(file, file.tell() + size * np.dtype(dtype).itemsize)
    return np.lib.format.open_memmap(path, mode="r+")


class _Sink:
    """A file of which NumPy knows only how to write to it, so that it writes through Python."""

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write
