"""How kernels are compiled. Only modules of kernels import this, and they are imported at first use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Any:
    """numba.njit without the GIL, kept on disk where a folder for it can be written (NUMBA_CACHE_DIR)."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # "no locator available": neither the package's folder nor the user's cache is writable
        return numba.njit(nogil=True)(function)
