"""How a model is asked for vectors: which of its methods, and with what, by the signature that each of them has."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hfneg.base import progress


@dataclass(frozen=True)
class Asking:
    """A method, what it is always given beside the texts, and whether it takes a batch size and a prompt."""

    encode: Callable[..., Any]
    given: dict[str, Any]
    takes_batch_size: bool = False
    takes_prompt: bool = False


def asking(model: Any, role: str) -> Asking:
    """`encode_query` and `encode_document` where there are both, else `encode`, which is told the `role` if it asks.

    An object's methods get only what their signatures name; a SentenceTransformer takes all of it.
    """
    if not has_both(model):
        return Asking(model.encode, {"role": role} if takes_role(model) else {})
    encode = model.encode_query if role == "query" else model.encode_document
    given = {"show_progress_bar": False, "convert_to_numpy": True}
    return Asking(
        encode,
        {name: value for name, value in given.items() if _takes(encode, name)},
        _takes(encode, "batch_size"),
        _takes(encode, "prompt"),
    )


@contextmanager
def told_by_batches(model: Any) -> Iterator[None]:
    """`progress.advance` after each batch, where a bar counts texts and the model has modules to listen to."""
    modules = list(model.children()) if progress.counts_texts() and hasattr(model, "children") else []
    if not modules:
        yield
        return

    def done(module: Any, given: Any, found: Any) -> None:
        vectors = found["sentence_embedding"] if "sentence_embedding" in getattr(found, "keys", tuple)() else None
        if vectors is not None:
            progress.advance(len(vectors))

    handle = modules[-1].register_forward_hook(done)
    try:
        yield
    finally:
        handle.remove()


def has_both(model: Any) -> bool:
    """Whether queries and documents have a method each."""
    return all(callable(getattr(model, name, None)) for name in ("encode_query", "encode_document"))


def takes_role(model: Any) -> bool:
    """Whether its plain ``encode(texts, role=...)`` is told "query" or "document"."""
    return not has_both(model) and _takes(model.encode, "role")


def _takes(function: Callable[..., Any], name: str) -> bool:
    """Whether its signature names a parameter that can be given by name."""
    try:
        parameter = inspect.signature(function).parameters.get(name)
    except (TypeError, ValueError):  # written in C
        return False
    return parameter is not None and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
