"""A teacher's model: a name that every process loads for itself, or one in memory; it counts by its weights."""

from __future__ import annotations

import contextlib
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from hfneg.base import devices, store
from hfneg.base.memory import Halving, loading
from hfneg.base.settings import check, check_choice, is_whole
from hfneg.errors import ProcessError, SettingError
from hfneg.models.encoder import TOO_LARGE
from hfneg.models.live_digest import LiveDigest
from hfneg.models.weights import (
    folder_digest,
    folder_of,
    hub_commit,
    is_folder,
    is_name,
    looks_like_path,
    name_of,
    saved_json,
    silent_loading,
)
from hfneg.steps.teachers.base import Teacher

FORMAT = 1
ENGINE = "torch"
DTYPES = ("bfloat16", "float16", "float32")

Load = Callable[..., Any]

_live_models: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
"""Models of this process by digest, so that a copy made by pickle finds its model again."""


class HeldModel:
    """A Hub id, a folder, or a live model of one of `kinds` (class names of sentence_transformers).

    Its pickle holds the name and the digest of the weights, never weights.
    """

    def __init__(self, model: Any, revision: str | None, kinds: tuple[str, ...]) -> None:
        self.model = _checked(model, revision, kinds)
        self.revision = revision
        self._forget()

    def _forget(self) -> None:
        self._pinned: str | None = None
        self._loaded: tuple[str, Any] | None = None
        self._live = None if isinstance(self.model, str) or self.model is None else LiveDigest(self.model)
        self.fits = Halving(f"the model {name_of(self.model)!r}", TOO_LARGE)

    @property
    def name(self) -> str | None:
        """Hub id or folder; None for a live model."""
        return self.model if isinstance(self.model, str) else None

    @property
    def is_folder(self) -> bool:
        return self.name is not None and is_folder(self.name)

    @property
    def weights(self) -> str:
        """Digest of weights, tokenizer and configuration, as they are now; loads no model."""
        if self.model is None:
            return self._pinned or ""
        if self._live is not None:
            return self._live()
        if is_folder(self.model):
            return folder_digest(folder_of(self.model))
        if looks_like_path(self.model) and self._pinned is not None:  # a folder of another machine
            return self._pinned
        return store.digest_of(FORMAT, "hub", hub_commit(self.model, self.revision))

    def saved(self, file: str) -> dict[str, Any]:
        """A JSON file saved with the model; {} for a live one."""
        return saved_json(self.name, self.revision, file) if self.name is not None else {}

    def get(self, load: Load) -> Any:
        """The model; a name is loaded once by ``load(name or folder, revision=, device=)``.

        Raises ProcessError for a live model of another process, or where the files are no longer those that the
        step was made with.
        """
        if self.model is None:
            raise ProcessError(
                "this model lives in the memory of another process; save it first (model.save_pretrained) and pass "
                "the folder, or run with num_proc=None"
            )
        if self._live is not None:
            return self.model
        weights = self.weights
        if self._pinned not in (None, weights):
            raise ProcessError(
                f"the model {self.model!r} is not the one this step was made with: its files have changed"
            )
        if self._loaded is None or self._loaded[0] != weights:
            self._loaded = weights, self._load(load)
            if self.weights != weights:
                raise SettingError(f"the files of {self.model!r} changed while they were read; wait until it is saved")
        return self._loaded[1]

    def _load(self, load: Load) -> Any:
        folder = is_folder(self.model)
        if not folder and looks_like_path(self.model):
            raise ProcessError(f"the model folder {self.model!r} is not on this machine; put it there, or use a Hub id")
        with silent_loading(), loading(self.model):
            return load(
                str(folder_of(self.model)) if folder else self.model,
                revision=None if folder else hub_commit(self.model, self.revision),
                device=devices.chosen(),
            )

    def __getstate__(self) -> dict[str, Any]:
        weights, revision = self.weights, self.revision
        if self._live is not None:
            _live_models[weights] = self.model
        elif self.name is not None and not is_folder(self.name) and not looks_like_path(self.name):
            revision = hub_commit(self.name, self.revision)
        return {"model": self.name, "revision": revision, "weights": weights}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.model = state["model"] if state["model"] is not None else _live_models.get(state["weights"])
        self.revision = state["revision"]
        self._forget()
        self._pinned = state["weights"]


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
    def held(self) -> HeldModel:
        """The model and what it counts for."""
        return HeldModel(self.model, self.revision, self.kinds)

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
        if self.held.name is not None and not self.held.is_folder and not looks_like_path(self.held.name):
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
