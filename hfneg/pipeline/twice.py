"""What would be encoded twice: two steps of one model that ask it in different ways share no vectors."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from hfneg.models.encoder import Role
from hfneg.models.weights import name_of
from hfneg.steps.model_step import ModelStep, WithDocuments, WithQueries

log = logging.getLogger(__name__)

ENCODES: dict[Role, tuple[type[ModelStep], str, str]] = {
    "document": (WithDocuments, "document_prompt", "the corpus is"),
    "query": (WithQueries, "query_prompt", "the anchors are"),
}


def say_what_is_encoded_twice(retrievers: Sequence[Any], filters: Sequence[Any]) -> None:
    """A warning for each filter whose vectors a retriever, or a filter before it, would have if asked alike."""
    for role, (kind, prompt, what) in ENCODES.items():
        before: list[Any] = [step for step in retrievers if isinstance(step, kind)]
        for step in (step for step in filters if isinstance(step, kind)):
            same = [one for one in before if _same_model(one, step)]
            digest = step.encoder.role_digest(role)
            if same and all(one.encoder.role_digest(role) != digest for one in same):
                _say(step, same[0], dict(_differing(step, same[0], prompt)), what)
            before.append(step)


def _same_model(one: ModelStep, other: ModelStep) -> bool:
    named = isinstance(one.model, str) and one.model == other.model  # of two revisions, maybe
    return named or one.encoder.weights == other.encoder.weights


def _differing(step: Any, other: Any, prompt: str) -> Iterator[tuple[str, Any]]:
    """(setting, the other's value) of those that make other vectors."""
    if step.encoder.weights != other.encoder.weights:
        yield "revision", other.revision
    for name in (prompt, "max_seq_length"):
        if getattr(step, name) != getattr(other, name):
            yield name, getattr(other, name)


def _say(step: Any, other: Any, settings: dict[str, Any], what: str) -> None:
    own = ", ".join(f"{name}={getattr(step, name)!r}" for name in settings)
    theirs = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    kind, source = type(step).__name__, type(other).__name__
    said = (
        "%s encoded twice: %s asks the model %s with %s, and %s with %s; to share the vectors of %s, write %s(..., %s)"
    )
    log.warning(said, what, kind, name_of(step.model), own, source, theirs, source, kind, theirs)
