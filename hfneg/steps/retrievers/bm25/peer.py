"""What is taken of bm25s, the library whose scores ours equal: its formulas and its stop words."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_HIDING = threading.Lock()


def bm25s(module: str) -> Any:
    """A module of bm25s, which is loaded without JAX.

    bm25s tries JAX when it is loaded, for a search that is not used here, and where JAX has a GPU that takes three
    quarters of its memory from the models of this process. A bm25s that is loaded already stays as it is.
    """
    with _without_jax() if "bm25s" not in sys.modules else _HIDING:
        return importlib.import_module(f"bm25s.{module}")


@contextmanager
def _without_jax() -> Iterator[None]:
    """``import jax`` fails meanwhile; what was loaded of it is there again afterwards."""
    with _HIDING:
        loaded = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "jax"}
        for name in loaded:
            del sys.modules[name]
        sys.modules["jax"] = None  # type: ignore[assignment]
        try:
            yield
        finally:
            del sys.modules["jax"]
            sys.modules.update(loaded)
