"""How far a long unit of work has come, for whoever shows the bar of its stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[float], None] | None] = ContextVar("hfneg_progress", default=None)


def advance(items: float) -> None:
    """Say that `items` more of the unit (a fraction, maybe) are done; nobody may be listening."""
    listener = _listener.get()
    if listener is not None:
        listener(items)


@contextmanager
def listening(listener: Callable[[float], None]) -> Iterator[None]:
    """Hear of every `advance` inside the block, in this thread."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
