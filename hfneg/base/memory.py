"""Work that does not fit into memory: tried again in halves, and said once.

Fewer rows at once are another shape of the batch, so the last bits of a result can differ (by about 1e-7 for vectors
and 1e-6 for scores) from those of a machine, or of an hour, in which the whole batch did fit.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import re
import sys
from collections.abc import Callable, Iterator
from typing import TypeVar

from hfneg.errors import HfnegError, OutOfMemoryError

log = logging.getLogger(__name__)

Result = TypeVar("Result")

ROWS = 8  # halves are multiples of it as long as they can be: see hfneg/teachers/cross_encoder_batches.py
WORDS = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|not enough memory|unable to allocate|"
    r"failed to allocate|bad_?alloc|DefaultCPUAllocator|ALLOC_FAILED|OOM when allocating|RESOURCE_EXHAUSTED",
    re.IGNORECASE,
)
"""How torch, its devices, NumPy, OpenVINO and others say it; only some have a class for it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory, of the machine or of a device, did not suffice."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, Exception) and not isinstance(error, HfnegError) and bool(WORDS.search(str(error)))


class Halving:
    """How many rows of a model's input fit into memory at once, as far as it is known: it is learnt by trying.

    Args:
        model: its name, for messages.
        way_out: what to do where not even one row fits.
    """

    def __init__(self, model: str, way_out: str) -> None:
        self._model, self._way_out = model, way_out
        self._most: int | None = None

    def run(self, work: Callable[[int], Result], rows: int, weight: int = 1) -> Result:
        """``work(n)`` with n = `rows`, or with as many of them as fit; `weight` is what a row takes (its tokens).

        Raises OutOfMemoryError where one row is too much.
        """
        while True:
            n = self._fitting(rows, weight)
            try:
                return work(n)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if n == 1:
                    raise OutOfMemoryError(
                        f"{self._model} does not fit into memory with a single row ({_reason(error)}): {self._way_out}"
                    ) from error
                reason = _reason(error)
            # The error is gone here, and with it the frames that held what was allocated.
            _free()
            self._halve(n, weight, reason)

    def _fitting(self, rows: int, weight: int) -> int:
        if self._most is None or rows * weight <= self._most:
            return rows
        n = self._most // weight
        return max(1, n // ROWS * ROWS if n >= ROWS else n)

    def _halve(self, n: int, weight: int, reason: str) -> None:
        first = self._most is None
        self._most = n // 2 * weight
        if first:
            log.warning(
                "%s: %d rows at once do not fit into memory (%s); going on with half as many, and fewer where need be: "
                "batch_size says how many from the start",
                self._model, n, reason,
            )  # fmt: skip


@contextlib.contextmanager
def loading(model: str) -> Iterator[None]:
    """OutOfMemoryError where a model itself does not fit."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            f"the model {model!r} does not fit into memory ({_reason(error)}): use a smaller one, fewer bits "
            "(dtype='bfloat16'), or a device with more memory (HFNEG_DEVICE)"
        ) from error


def _reason(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__


def _free() -> None:
    """Give back what a failed batch leaves in torch's own store of device memory."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
