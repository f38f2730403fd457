"""A step with a model: what it pickles, and what its weights count for."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any

from hfneg.models.encoder import Encoder
from hfneg.models.weights import name_of
from hfneg.steps.step import Step


class ModelStep(Step):
    """Base of steps whose field ``model`` is a Hub id, a folder, a SentenceTransformer, or an encoder object.

    The pickle (which is also the fingerprint of the `datasets` cache) holds the settings and the digest of
    the weights: a changed checkpoint under the same name is another step, and no weight travels.
    """

    model: Any

    def __repr__(self) -> str:
        """As a dataclass's, but a model in memory by its name and digest: its address changes with every process.

        A subclass is a ``@dataclass(frozen=True, repr=False)``, or it gets a dataclass's own.
        """
        settings = self.settings()
        if not isinstance(self.model, str):
            settings["model"] = f"{name_of(self.model)}@{self.encoder.digest[:12]}"
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in settings.items())})"

    def _check_model(self) -> None:
        """Called when the step is built: refuses what is no model, without loading one."""
        if isinstance(self.model, os.PathLike):
            object.__setattr__(self, "model", os.fspath(self.model))
        _ = self.encoder

    @cached_property
    def encoder(self) -> Encoder:
        """The model and how it is asked; its digest follows the weights."""
        return Encoder(self.model, **self._encoder_settings())

    def _encoder_settings(self) -> dict[str, Any]:
        return {}

    def __getstate__(self) -> dict[str, Any]:
        encoder = self.encoder
        model = self.model if isinstance(self.model, str) else None
        return {**super().__getstate__(), "model": model, "encoder": encoder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.model is None:  # an object: found again in its own process, else refused when it is to encode
            object.__setattr__(self, "model", self.encoder.model)
