"""A step with a model: how the model is asked, what the step pickles, and what its weights count for."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hfneg.base.settings import check, is_whole
from hfneg.models.encoder import Encoder
from hfneg.models.weights import name_of
from hfneg.steps.step import Step

SETTINGS = ("revision", "query_prompt", "document_prompt", "max_seq_length", "batch_size")
"""How a model is asked; a step has of the two prompts the one (or both) whose texts it encodes."""

ORDER = {name: place for place, name in enumerate(("model", *SETTINGS[:-1], "", SETTINGS[-1]))}
"""Of settings in texts; a step's own stand in the empty place."""


@dataclass(frozen=True, repr=False)
class ModelStep(Step):
    """Base of steps whose field ``model`` is a Hub id, a folder, a SentenceTransformer, or an encoder object.

    The pickle (which is also the fingerprint of the `datasets` cache) holds the settings and the digest of
    the weights: a changed checkpoint under the same name is another step, and no weight travels.

    A subclass is a ``@dataclass(frozen=True, repr=False)``, or it gets a dataclass's own repr; it is a `WithQueries`,
    a `WithDocuments`, or both.
    """

    model: Any
    revision: str | None = field(default=None, kw_only=True)
    max_seq_length: int | None = field(default=None, kw_only=True)
    batch_size: int = field(default=32, kw_only=True)

    def __repr__(self) -> str:
        """As a dataclass's, but a keyword-only setting only where it is not the default; a model in memory by its
        name and digest: its address changes with every process."""
        settings = self._said()
        if not isinstance(self.model, str):
            settings["model"] = f"{name_of(self.model)}@{self.encoder.digest[:12]}"
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in settings.items())})"

    def settings(self) -> dict[str, Any]:
        return dict(sorted(super().settings().items(), key=lambda item: ORDER.get(item[0], ORDER[""])))

    def _said(self) -> dict[str, Any]:
        """The settings without keyword-only ones that are at their default: texts and pickles do not know of these."""
        silent = {f.name for f in dataclasses.fields(self) if f.kw_only and getattr(self, f.name) == f.default}
        return {name: value for name, value in self.settings().items() if name not in silent}

    def _check_model(self) -> None:
        """Called when the step is built: refuses what is no model, and settings of it, without loading one."""
        for setting, optional in (("batch_size", False), ("max_seq_length", True)):
            given = getattr(self, setting)
            check(is_whole(given, 1) or (optional and given is None), self, setting, given, "a whole number from 1 up")
        if isinstance(self.model, os.PathLike):
            object.__setattr__(self, "model", os.fspath(self.model))
        _ = self.encoder

    @cached_property
    def encoder(self) -> Encoder:
        """The model and how it is asked; its digest follows the weights."""
        return Encoder(self.model, **{name: getattr(self, name) for name in SETTINGS if hasattr(self, name)})

    def __getstate__(self) -> dict[str, Any]:
        encoder = self.encoder
        model = self.model if isinstance(self.model, str) else None
        return {**self._said(), "version": type(self).VERSION, "model": model, "encoder": encoder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.model is None:  # an object: found again in its own process, else refused when it is to encode
            object.__setattr__(self, "model", self.encoder.model)


@dataclass(frozen=True, repr=False)
class WithQueries(ModelStep):
    """A step that encodes anchors."""

    query_prompt: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True, repr=False)
class WithDocuments(ModelStep):
    """A step that encodes the corpus."""

    document_prompt: str | None = field(default=None, kw_only=True)
