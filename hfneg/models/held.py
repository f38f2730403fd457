"""A model that a step holds: a name that each process loads for itself, or an object; it counts by its weights."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from typing import Any

from hfneg.base import devices, store
from hfneg.base.memory import Halving, loading
from hfneg.errors import ProcessError, SettingError
from hfneg.models.asking import takes_role
from hfneg.models.live_digest import LiveDigest
from hfneg.models.weights import (
    folder_digest,
    folder_of,
    hub_commit,
    is_folder,
    is_torch_model,
    looks_like_path,
    name_of,
    saved_json,
    silent_loading,
    similarity_of,
)

FORMAT = 1
TOO_LARGE = (
    "give it shorter texts (max_seq_length=, max_length=), fewer bits (dtype='bfloat16' for a teacher, or a model that "
    "was saved in it), or a device with more memory (HFNEG_DEVICE)"
)

Load = Callable[..., Any]

_live_models: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
"""Models of this process by digest, so that a copy made by pickle finds its model again."""


class Held:
    """A Hub id, a folder, a model in memory, or an object with an ``id``, by which it counts.

    Its pickle holds the name and the digest of the weights, never weights; a model in memory is found again in its own
    process only.

    Attributes:
        fits: how many texts go through the model at once, halved where so many do not fit into memory.
    """

    def __init__(self, model: Any, revision: str | None = None) -> None:
        self.model = model
        self.revision = revision
        self._forget()

    def _forget(self) -> None:
        self._pinned: str | None = None  # what it was when it was pickled
        self._commit: str | None = None
        self._loaded: tuple[str, Any] | None = None
        named = isinstance(self.model, str) or self.model is None
        self._live = None if named or not is_torch_model(self.model) else LiveDigest(self.model)
        self.fits = Halving(f"the model {name_of(self.model)!r}", TOO_LARGE)

    @property
    def name(self) -> str | None:
        """Hub id or folder; None for an object."""
        return self.model if isinstance(self.model, str) else None

    @property
    def is_folder(self) -> bool:
        return self.name is not None and is_folder(self.name)

    @property
    def on_hub(self) -> bool:
        """Whether it is named as on the Hub."""
        return self.name is not None and not self.is_folder and not looks_like_path(self.name)

    @property
    def commit(self) -> str:
        """Of a Hub id, asked for once."""
        if self._commit is None:
            self._commit = hub_commit(str(self.name), self.revision)
        return self._commit

    @property
    def weights(self) -> str:
        """Digest of weights, tokenizer and configuration as they are now, or of an object's id; loads no model."""
        if self.model is None:
            return self._pinned or ""
        if self._live is not None:
            return self._live()
        if self.name is None:
            roles = ["role"] if takes_role(self.model) else []
            return store.digest_of(FORMAT, "id", self.model.id, similarity_of(self.model), *roles)
        if self.is_folder:
            return folder_digest(folder_of(self.name))
        if not self.on_hub and self._pinned is not None:  # a folder of another machine
            return self._pinned
        return store.digest_of(FORMAT, "hub", self.commit)

    def saved(self, file: str) -> dict[str, Any]:
        """A JSON file saved with the model; {} for an object."""
        return saved_json(self.name, self.revision, file) if self.name is not None else {}

    def get(self, load: Load, device: str | None = None) -> Any:
        """The model; a name is loaded once by ``load(name or folder, revision=, device=)``.

        Raises ProcessError for an object of another process, or where the files are no longer those that the step was
        made with.
        """
        if self.model is None:
            raise ProcessError(
                "this model lives in the memory of another process; save it first (model.save_pretrained) and pass "
                "the folder, or run with num_proc=None"
            )
        if self.name is None:
            return self.model
        weights = self.weights
        if self._pinned not in (None, weights):
            raise ProcessError(
                f"the model {self.name!r} is not the one this step was made with: its files have changed"
            )
        if self._loaded is None or self._loaded[0] != weights:
            self._loaded = weights, self._load(self.name, load, device)
            if self.weights != weights:
                raise SettingError(f"the files of {self.name!r} changed while they were read; wait until it is saved")
        return self._loaded[1]

    def _load(self, name: str, load: Load, device: str | None) -> Any:
        if not self.is_folder and not self.on_hub:
            raise ProcessError(f"the model folder {name!r} is not on this machine; put it there, or use a Hub id")
        source, revision = (str(folder_of(name)), None) if self.is_folder else (name, self.commit)
        with silent_loading(), loading(name):
            return load(source, revision=revision, device=devices.chosen(device))

    def __getstate__(self) -> dict[str, Any]:
        weights = self.weights
        if self.name is None and self.model is not None:
            with contextlib.suppress(TypeError):  # an object with __slots__ is not found again
                _live_models[weights] = self.model
        return {"model": self.name, "revision": self.commit if self.on_hub else self.revision, "weights": weights}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.model = state["model"] if state["model"] is not None else _live_models.get(state["weights"])
        self.revision = state["revision"]
        self._forget()
        self._pinned = state["weights"]
