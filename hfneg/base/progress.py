"""How far a long unit of work has come, for whoever shows the bar of its stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[float], None] | None] = ContextVar("hfneg_progress", default=None)
_pairs_listener: ContextVar[Callable[[int], None] | None] = ContextVar("hfneg_progress_pairs", default=None)
_counts_texts: ContextVar[bool] = ContextVar("hfneg_progress_counts_texts", default=False)


def advance(items: float) -> None:
    """Say that `items` more of the unit (a fraction, maybe) are done; nobody may be listening."""
    listener = _listener.get()
    if listener is not None:
        listener(items)


def scored(pairs: int) -> None:
    """Say that a teacher has scored `pairs` more; nobody may be listening."""
    listener = _pairs_listener.get()
    if listener is not None:
        listener(pairs)


@contextmanager
def listening(listener: Callable[[float], None], pairs: Callable[[int], None] | None = None) -> Iterator[None]:
    """Hear of every `advance` inside the block, and of every `scored`, in this thread."""
    token, pairs_token = _listener.set(listener), _pairs_listener.set(pairs)
    try:
        yield
    finally:
        _pairs_listener.reset(pairs_token)
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
