"""What a result was made with: library versions, and the models of a recipe with digest and commit."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePath
from typing import Any

from hfneg.errors import HfnegError
from hfneg.models.weights import hub_commit, is_folder, looks_like_path, name_of
from hfneg.pipeline.recipe import Recipe

LIBRARIES = (
    "bm25s",
    "datasets",
    "faiss-cpu",
    "huggingface-hub",
    "numba",
    "numpy",
    "pyarrow",
    "sentence-transformers",
    "torch",
    "transformers",
)


def library_versions() -> dict[str, str]:
    """Python's version and those of the libraries that a result may depend on, where they are installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # an optional part
            continue
    return found


def models_of(recipe: Recipe) -> list[dict[str, Any]]:
    """Each model of the recipe: step, name, digest (of weights, tokenizer, prompts ...), and its commit on the Hub.

    A local folder is named by its last part: where it lay is nobody's business. Its digest tells whether another
    copy is the same.
    """
    steps: list[Any] = [*recipe.retrievers, *recipe.filters]
    if recipe.teacher is not None:
        steps += recipe.teacher.members
    return [_model(step) for step in steps if hasattr(step, "model") or hasattr(step, "digest")]


def _model(step: Any) -> dict[str, Any]:
    model = getattr(step, "model", None)
    found: dict[str, Any] = {"step": type(step).__name__}
    if isinstance(model, str):
        local = is_folder(model) or looks_like_path(model)
        found["model"] = PurePath(model).name if local else model
        found["local"] = local
        if not local:
            found["revision"] = _commit(model, getattr(step, "revision", None))
    elif model is not None:
        found["model"] = name_of(model)
    elif getattr(step, "served", None):  # by a server, which has said what it is
        found["model"] = PurePath(step.served).name if looks_like_path(step.served) else step.served
    elif getattr(step, "id", None):
        found["model"] = str(step.id)
    digest = getattr(getattr(step, "encoder", step), "digest", None)
    return {key: value for key, value in {**found, "digest": digest}.items() if value}


def _commit(model: str, revision: str | None) -> str | None:
    try:
        return hub_commit(model, revision)
    except HfnegError:  # a name that only its server knows
        return None
