"""How far a long unit of work has come, for whoever shows the bar of its stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[float], None] | None] = ContextVar("hfneg_progress", default=None)
_counts_texts: ContextVar[bool] = ContextVar("hfneg_progress_counts_texts", default=False)


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


@contextmanager
def by_texts() -> Iterator[None]:
    """Inside the block the items are texts to encode: an encoder may say `advance` after each batch."""
    token = _counts_texts.set(True)
    try:
        yield
    finally:
        _counts_texts.reset(token)


def counts_texts() -> bool:
    return _counts_texts.get() and _listener.get() is not None
