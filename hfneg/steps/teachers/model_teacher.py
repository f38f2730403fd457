"""Base of the teachers that run a model in this process: its settings, its digest, how it is made ready."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from hfneg.base import store
from hfneg.base.settings import check, check_choice, is_whole
from hfneg.errors import SettingError
from hfneg.models.held import Held
from hfneg.models.weights import (
    is_folder,
    is_name,
    looks_like_path,
    name_of,
)
from hfneg.steps.teachers.base import Teacher

FORMAT = 1
ENGINE = "torch"
DTYPES = ("bfloat16", "float16", "float32")


@dataclass(frozen=True, repr=False)
class ModelTeacher(Teacher):
    """Base of the teachers that run a model in this process; a subclass has `max_length`, `dtype` and more."""

    kinds: ClassVar[tuple[str, ...]]
    """Class names in sentence_transformers that a live model may be of."""

    model: Any
    revision: str | None = None
    max_length: int | None = None
    batch_size: int | None = None
    dtype: str | None = None
    scale: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.model, os.PathLike):
            object.__setattr__(self, "model", os.fspath(self.model))
        for setting in ("batch_size", "max_length"):
            given = getattr(self, setting)
            check(given is None or is_whole(given, 1), self, setting, given, "None or a whole number from 1 up")
        if self.dtype is not None:
            check_choice(self, "dtype", self.dtype, DTYPES)
            check(isinstance(self.model, str), self, "dtype", self.dtype, "None for a live model: it has its own")
        self._check_scale(self.scale)
        _ = self.held

    @cached_property
    def held(self) -> Held:
        """The model and what it counts for."""
        return Held(_checked(self.model, self.revision, self.kinds), self.revision)

    @property
    def digest(self) -> str:
        """Of weights, tokenizer, configuration, prompts, `max_length`, `dtype` and engine; loads no model."""
        if self.held.model is None:  # of another process
            return str(getattr(self, "_pinned", None) or "")
        _ = self._kind_checked
        return store.digest_of(FORMAT, type(self).__name__, self._engine, self.held.weights, *self._digested())

    @property
    def _engine(self) -> str:
        return ENGINE

    @cached_property
    def _kind_checked(self) -> bool:
        """Of a Hub id, when its commit is first asked for; of a folder when the step is built."""
        if self.held.on_hub:
            self._check_saved()
        return True

    def _check_saved(self) -> None:
        """Raise SettingError by what was saved with the model, before it is loaded."""
        raise NotImplementedError

    def _digested(self) -> list[Any]:
        return [self.max_length, self.dtype]

    def _loaded(self) -> Any:
        return self.held.get(self._load)

    def _load(self, source: str, **where: Any) -> Any:
        raise NotImplementedError

    @property
    def _model_kwargs(self) -> dict[str, Any] | None:
        """For the constructors of sentence_transformers: None leaves the precision that was saved."""
        if self._load_dtype is None:
            return None
        import torch

        return {"torch_dtype": getattr(torch, self._load_dtype)}

    @property
    def _load_dtype(self) -> str | None:
        return self.dtype

    @contextlib.contextmanager
    def _ready(self, model: Any) -> Iterator[None]:
        """Evaluation mode and `max_length`; both are put back as the user had them."""
        training, before = model.training, getattr(model, "max_seq_length", None)
        limit = self.max_length and _longest(model)
        if self.max_length is not None and limit and self.max_length > limit:
            raise SettingError(
                f"{type(self).__name__}(max_length={self.max_length}): {name_of(self.model)!r} takes at most {limit} "
                "tokens"
            )
        if self.max_length is not None:
            model.max_seq_length = self.max_length
        model.eval()
        try:
            yield
        finally:
            if self.max_length is not None:
                model.max_seq_length = before
            model.train(training)

    def _shown(self, settings: dict[str, Any]) -> dict[str, Any]:
        live = not isinstance(self.model, str)
        return {**settings, "model": f"{name_of(self.model)}@{self.digest[:12]}"} if live else settings

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "model": self.held.name, "held": self.held}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.model is None:  # found again in its own process, else refused when it is to score
            object.__setattr__(self, "model", self.held.model)


def is_kind(model: Any, kind: str) -> bool:
    """Whether it is of that class of sentence_transformers; does not load the library."""
    library = sys.modules.get("sentence_transformers")  # not loaded: then it cannot be one
    return isinstance(model, getattr(library, kind, ()))


def _longest(model: Any) -> int | None:
    """How many tokens the model has positions for, if it says so."""
    inner = getattr(model, "model", None) or getattr(model, "transformers_model", None)
    given = getattr(getattr(inner, "config", None), "max_position_embeddings", None)
    return given if isinstance(given, int) and given > 0 else None


def _checked(model: Any, revision: str | None, kinds: tuple[str, ...]) -> Any:
    if isinstance(model, str):
        if not is_name(model) or (looks_like_path(model) and not is_folder(model)):
            raise SettingError(
                f"model {model!r}: there is no such folder; give a folder made by save_pretrained or a Hub id"
            )
        return model
    if revision is not None:
        raise SettingError(
            f"revision={revision!r} says which commit of a Hub id; this model is an object: leave it out"
        )
    if not any(is_kind(model, kind) for kind in kinds):
        raise SettingError(
            f"model is a {type(model).__name__}; it must be a Hub id, a folder, or a {' or '.join(kinds)} of "
            "sentence_transformers. For anything else there is FunctionTeacher(function, id=...)"
        )
    return model
