"""`Encoder`: texts to vectors, by a model that counts by its weights.

Three kinds of model: a name (a Hub id or a local folder of a SentenceTransformer), which every process
loads for itself at its first encode; a live SentenceTransformer; or any object with ``id: str`` and
``encode(list[str]) -> [n, d]`` (or `encode_query` and `encode_document`), which counts by its id.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from hfneg.base import store
from hfneg.errors import ProcessError, SettingError
from hfneg.models.asking import asking, told_by_batches
from hfneg.models.encoded import Vectors32 as Vectors32, as_vectors, check_finite, normalised, said_of_nothing
from hfneg.models.held import Held
from hfneg.models.kinds import BARE, BI_ENCODER, refuse_but
from hfneg.models.weights import (
    check_similarity,
    checked_model,
    name_of,
    similarity_of,
)

FORMAT = 1

Role = Literal["query", "document"]

log = logging.getLogger(__name__)


class Encoder:
    """A model and how it is asked.

    Args:
        model: Hub id, local folder, SentenceTransformer, or an object with `id` and `encode`. An object's
            vectors are compared by dot product, as they are, unless it says ``similarity_fn_name = "cosine"``.
        revision: of a Hub id.
        query_prompt, document_prompt: put before the texts of that role. None: the model's own
            (`encode_query`, `encode_document`).
        max_seq_length: in tokens; None: the model's own.
        batch_size: texts per forward pass, halved where so many do not fit into memory. Not part of the digest (vectors
            differ by about 1e-7).
        device: None: the environment variable HFNEG_DEVICE, else cuda where there is one, else cpu. A live
            model stays where it is. Not part of the digest.

    Its pickle holds names and the digest, never weights; a live model is found again in its own process
    only.

    Raises SettingError: no such folder, not a model, or one of Euclidean or Manhattan similarity.
    """

    def __init__(
        self,
        model: Any,
        *,
        revision: str | None = None,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        max_seq_length: int | None = None,
        batch_size: int = 32,
        device: str | None = None,
    ) -> None:
        self.held = Held(checked_model(model, revision), revision)
        _check_prompts(query_prompt=query_prompt, document_prompt=document_prompt)
        self.prompts: dict[Role, str | None] = {"query": query_prompt, "document": document_prompt}
        self.max_seq_length = max_seq_length
        self.batch_size = batch_size
        self.device = device
        self._begin()
        if not self.held.on_hub:  # else when its commit is asked for
            self._check_kind()
        if not isinstance(model, str):
            check_similarity(similarity_of(self.model), name_of(self.model))

    def __repr__(self) -> str:
        return f"Encoder({self.model if isinstance(self.model, str) else name_of(self.model)!r}, {self.digest[:12]})"

    def _begin(self) -> None:
        self._checked = self._warned = False

    @property
    def model(self) -> Any:
        """Name, or object; None for an object of another process."""
        return self.held.model

    @property
    def revision(self) -> str | None:
        return self.held.revision

    # What goes into another process, and into the fingerprint of `datasets`.

    def __getstate__(self) -> dict[str, Any]:
        _ = self.weights
        return {name: getattr(self, name) for name in ("held", "prompts", "max_seq_length", "batch_size", "device")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()

    # What it is.

    @property
    def weights(self) -> str:
        """Digest of the model alone, without prompts; as it is now, not as it was when first asked."""
        found = self.held.weights
        if self.held.on_hub and not self._checked:
            self._checked = True
            self._check_kind()
        return found

    @property
    def digest(self) -> str:
        """All that vectors depend on: weights, tokenizer, prompts, length, dtype, normalisation."""
        return self._digest(self.prompts)

    def role_digest(self, role: Role) -> str:
        """The same for one role, so that another query prompt leaves the documents' vectors valid."""
        return self._digest({role: self.prompts[role]})

    def _digest(self, prompts: dict[Role, str | None]) -> str:
        return store.digest_of(FORMAT, self.weights, prompts, self.max_seq_length)

    def _check_kind(self) -> str | None:
        return refuse_but((BI_ENCODER, BARE), self.model, self.revision, "encoder of texts into single vectors")

    # What it does.

    def encode(
        self,
        texts: Sequence[str],
        role: Role,
        *,
        label: Callable[[int], str] | None = None,
        expected: str | None = None,
    ) -> Vectors32:
        """float32 [len(texts), d], C-contiguous; of length 1 where the model's similarity is cosine.

        Args:
            label: names a text by its position in error messages (``"document 'd17'"``).
            expected: the `role_digest` that the result will be filed under.

        Raises:
            ProcessError: a forked child, or a live model of another process.
            NonFiniteError: NaN or infinity, naming the text.
            OutOfMemoryError: not even one text at a time fits.
            SettingError: the weights are no longer those of `expected`, or the model gave no vectors.
        """
        refuse_forked_child("encode texts")
        if expected is not None and self.role_digest(role) != expected:
            raise SettingError(
                f"the weights of {name_of(self.model)!r} have changed since this index was opened; its vectors "
                "would be of two models: make the step again and open it anew"
            )
        if not len(texts):
            return np.empty((0, 0), dtype=np.float32)
        model = self.held.get(self._load, self.device)
        vectors = self._encoded(model, list(texts), role)
        check_finite(vectors, texts, label or (lambda i: f"{role} {i} of {len(texts)}"))
        self._warn_once(said_of_nothing(vectors, texts, name_of(self.model)))
        return normalised(vectors) if similarity_of(model) == "cosine" else vectors

    def _encoded(self, model: Any, texts: list[str], role: Role) -> Vectors32:
        prompt, ask = self.prompts[role], asking(model, role)
        given = {**ask.given, "prompt": prompt} if ask.takes_prompt else ask.given
        if prompt and not ask.takes_prompt:
            texts = [prompt + text for text in texts]
        encode = partial(ask.encode, **given)
        with _as_before(model, self.max_seq_length), told_by_batches(model):
            if not ask.takes_batch_size:
                return self._in_pieces(model, encode, texts)
            vectors = self.held.fits.run(lambda n: encode(texts, batch_size=n), self.batch_size)
        return as_vectors(vectors, len(texts), name_of(model))

    def _in_pieces(self, model: Any, encode: Callable[..., Any], texts: list[str]) -> Vectors32:
        """By an object that takes texts and no batch size: all at once, or as many as fit into memory."""
        parts: list[Vectors32] = []
        while (at := sum(map(len, parts))) < len(texts):
            given, n = self.held.fits.run(partial(_first, encode, texts[at:]), len(texts) - at)
            parts.append(as_vectors(given, n, name_of(model), parts[0].shape[1] if parts else None))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _warn_once(self, warning: str | None) -> None:
        if warning is not None and not self._warned:
            self._warned = True
            log.warning(warning)

    def _load(self, source: str, **where: Any) -> Any:
        from sentence_transformers import SentenceTransformer

        if self._check_kind() == BARE:
            said = "%r was not saved by sentence-transformers: its token vectors are averaged, a head is left out"
            log.warning(said, self.model)
        model = SentenceTransformer(source, **where)
        check_similarity(similarity_of(model), self.model)
        return model


def refuse_forked_child(what: str) -> None:
    """ProcessError in a forked worker (``num_proc=2``), where torch and FAISS hang."""
    if store.in_forked_child():
        raise ProcessError(
            f"a forked worker cannot {what} (torch and FAISS hang there); they use all cores anyway: pass "
            "num_proc=None to map, or run hfneg.mine(devices=...)"
        )


def _check_prompts(**prompts: Any) -> None:
    for name, prompt in prompts.items():
        if prompt is not None and not isinstance(prompt, str):
            raise SettingError(
                f"{name}={prompt!r}: expected a text that is put before each text, or None; what a function makes of "
                "texts belongs into encode_query and encode_document of an encoder object"
            )


def _first(encode: Callable[..., Any], texts: list[str], n: int) -> tuple[Any, int]:
    return encode(texts[:n]), n


@contextlib.contextmanager
def _as_before(model: Any, max_seq_length: int | None) -> Iterator[None]:
    """Encode under `max_seq_length`, then put length and training mode back as the user had them."""
    before, training = getattr(model, "max_seq_length", None), getattr(model, "training", False)
    if max_seq_length is not None:
        model.max_seq_length = max_seq_length
    try:
        yield
    finally:
        if max_seq_length is not None:
            model.max_seq_length = before
        if training:
            model.train()
