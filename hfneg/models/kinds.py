"""Which kind of model something is, by what was saved with it: no model is loaded to find that out.

sentence-transformers loads every one of these folders as any kind, with a line in the log at best: a SPLADE model as
mean-pooled BERT without its head, a bi-encoder as a cross-encoder whose head is random.
"""

from __future__ import annotations

from typing import Any

from hfneg.errors import SettingError
from hfneg.models.weights import name_of, saved_content

BI_ENCODER = "SentenceTransformer"
CROSS_ENCODER = "CrossEncoder"
SPARSE = "SparseEncoder"
MULTI_VECTOR = "MultiVectorEncoder"
BARE = "bare transformer"
"""No model of sentence-transformers: its token vectors are averaged, and it has no head that would score pairs."""

LATE = "ColBERT"  # of PyLate
KINDS = (
    SPARSE,
    MULTI_VECTOR,
    LATE,
    CROSS_ENCODER,
    BI_ENCODER,
)  # in sentence-transformers 5 the first is one of the last

SETTINGS = "config_sentence_transformers.json"
SPARSE_MODULES = ("sparse_encoder", "Splade", "SparseAutoEncoder", "SparseStaticEmbedding", "MLMTransformer")
MULTI_VECTOR_MODULES = ("multi_vector_encoder", "pylate.")
CROSS_ENCODER_MODULES = ("cross_encoder", "LogitScore")
HEAD = "ForSequenceClassification"

WAYS = {
    CROSS_ENCODER: "it reads anchor and document together, and gives no vectors: give it to CrossEncoderTeacher",
    SPARSE: (
        "its sparse vectors come out of a head that is not loaded here, and hfneg has no retriever for them: search "
        "with it yourself and bring what you find (candidates_from(dataset, column), or an object with search(texts, "
        "k)), or let it judge as FunctionTeacher(function, id=...)"
    ),
    MULTI_VECTOR: "it gives several vectors per text: give it to BiEncoderTeacher",
    BI_ENCODER: "it is without a scoring head (one would be made at random): give it to BiEncoderTeacher",
    BARE: (
        "it is without a scoring head (one would be made at random): give a reranker, or judge by vectors with "
        "BiEncoderTeacher"
    ),
}
"""What each kind is good for, where it was given for another."""


def kind_of(model: Any, revision: str | None = None) -> str | None:
    """A name or a live model; None where nothing says it (an object of the user's own, a Hub id that is not here)."""
    return saved_kind(model, revision) if isinstance(model, str) else live_kind(model)


def live_kind(model: Any) -> str | None:
    """By the names of its classes, so that no library is loaded."""
    names = {kind.__name__ for kind in type(model).__mro__}
    found = next((kind for kind in KINDS if kind in names), None)
    return MULTI_VECTOR if found == LATE else found


def saved_kind(name: str, revision: str | None = None) -> str | None:
    """Of a folder, or of a Hub id whose files can be had."""
    settings, modules, config = (
        saved_content(name, revision, file) for file in (SETTINGS, "modules.json", "config.json")
    )
    said = settings.get("model_type") if isinstance(settings, dict) else None
    if said in KINDS:
        return MULTI_VECTOR if said == LATE else str(said)
    architecture = _architecture(config)
    if isinstance(modules, list) and modules:
        return _kind_of_modules(
            [str(module.get("type")) for module in modules if isinstance(module, dict)], architecture
        )
    if architecture is None:
        return None
    if architecture.endswith(HEAD):
        return CROSS_ENCODER
    return MULTI_VECTOR if architecture == "HF_ColBERT" else BARE


def _kind_of_modules(types: list[str], architecture: str | None) -> str:
    """The first module is a transformer; what follows it says what the model is for."""
    for kind, marks in (
        (SPARSE, SPARSE_MODULES),
        (MULTI_VECTOR, MULTI_VECTOR_MODULES),
        (CROSS_ENCODER, CROSS_ENCODER_MODULES),
    ):
        if any(mark in name for name in types for mark in marks):
            return kind
    alone = len(types) == 1 and (architecture or "").endswith(HEAD)
    return CROSS_ENCODER if alone else BI_ENCODER


def _architecture(config: Any) -> str | None:
    """The class of transformers that was saved; None where there is no config.json, "" where it does not say."""
    if not isinstance(config, dict) or not config:
        return None
    given = config.get("architectures")
    return str(given[0]) if isinstance(given, list) and given else ""


def refuse_but(kinds: tuple[str, ...], model: Any, revision: str | None, wanted: str) -> str | None:
    """Raise SettingError where the model is of another kind than `kinds`, with what it is for; gives the kind."""
    kind = kind_of(model, revision)
    if kind is None or kind in kinds:
        return kind
    said = _said(kind, model, revision)
    raise SettingError(f"the model {name_of(model)!r} is a {said}, no {wanted}; {WAYS[kind]}")


def _said(kind: str, model: Any, revision: str | None) -> str:
    if kind != BARE:
        return kind
    return (
        _architecture(saved_content(model, revision, "config.json")) or "transformer whose config names no architecture"
    )
