"""How kernels are compiled. Only modules of kernels import this, and they are imported at first use."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numba
from numba.core import event

log = logging.getLogger(__name__)


def compiled(function: Callable[..., Any]) -> Any:
    """numba.njit without the GIL, kept on disk where a folder for it can be written (NUMBA_CACHE_DIR)."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # "no locator available": neither the package's folder nor the user's cache is writable
        return numba.njit(nogil=True)(function)


class _Waits(event.Listener):  # type: ignore[misc]
    """Says once what the process waits for when a kernel of ours is compiled: it takes seconds."""

    said = False

    def on_start(self, event: Any) -> None:
        function = getattr(event.data.get("dispatcher"), "py_func", None)
        if self.said or not getattr(function, "__module__", "").startswith("hfneg."):
            return
        self.said = True
        kept = "once on this machine" if _is_kept(event.data["dispatcher"]) else "and not kept: set NUMBA_CACHE_DIR"
        log.info("compiling kernels, %s", kept)

    def on_end(self, event: Any) -> None:
        pass


def _is_kept(dispatcher: Any) -> bool:
    return type(getattr(dispatcher, "_cache", None)).__name__ != "NullCache"


event.register("numba:compile", _Waits())
