"""The model that is trained: a small static one that trains in seconds, or any SentenceTransformer by name."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

STATIC = "static"


class Remembering:
    """A tokenizer that splits each text once in this process: of a static model's training that is most of the work."""

    known: ClassVar[dict[str, dict[str, Any]]] = {}
    """By the tokenizer's settings and vocabulary, then by text."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.found = self.known.setdefault(tokenizer.to_str(), {})

    def __getattr__(self, name: str) -> Any:
        if name in ("tokenizer", "found"):  # not there yet: while it is copied
            raise AttributeError(name)
        return getattr(self.tokenizer, name)

    def encode_batch(self, texts: list[str], **settings: Any) -> list[Any]:
        missing = list({text for text in texts if text not in self.found})
        for text, encoded in zip(missing, self.tokenizer.encode_batch(missing, **settings), strict=True):
            self.found[text] = SimpleNamespace(ids=encoded.ids)
        return [self.found[text] for text in texts]


def load(name: str) -> Any:
    """The SentenceTransformer; a static one remembers how texts are split."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    model = SentenceTransformer(name)
    if isinstance(model[0], StaticEmbedding):
        model[0].tokenizer = Remembering(model[0].tokenizer)
    return model


def base(name: str, miner: str, folder: Path, dimensions: int = 128) -> str:
    """The untrained student's folder or name; "static" is made of the miner's vocabulary.

    Each token of the tokenizer is encoded by the miner, the vectors are reduced to `dimensions` by PCA, and frequent
    tokens weigh less (by rank, log(1 + rank)): static embeddings as model2vec makes them.
    """
    if name != STATIC:
        return name
    place = folder / f"static-{dimensions}"
    if not (place / "modules.json").is_file():
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import StaticEmbedding

        teacher = SentenceTransformer(miner)
        tokenizer = teacher.tokenizer
        tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
        vectors = teacher.encode([token.removeprefix("##") for token in tokens], batch_size=256).astype(np.float64)
        vectors -= vectors.mean(axis=0)
        _, _, axes = np.linalg.svd(
            vectors[np.random.default_rng(0).permutation(len(vectors))[:8_000]], full_matrices=False
        )
        reduced = (vectors @ axes[:dimensions].T) * np.log1p(np.arange(len(tokens)))[:, None]
        reduced *= 1.0 / np.abs(reduced).mean()
        fast = tokenizer.backend_tokenizer
        fast.no_truncation()
        module = StaticEmbedding(fast, embedding_weights=reduced.astype(np.float32))
        partial = place.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        SentenceTransformer(modules=[module]).save_pretrained(str(partial))
        partial.rename(place)
    return str(place)


def train(
    start: str,
    rows: Any,
    distil: bool,
    settings: Any,
    seed: int,
    steps: int,
    out: Path,
    callbacks: Sequence[Any] = (),
    end: int | None = None,
) -> Any:
    """The trained model: `steps` optimiser steps from `start`, in the order that `seed` gives.

    With `end` it stops there, and goes on from where an earlier call stopped in `out`: rounds are parts of a training.
    """
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MarginMSELoss, MultipleNegativesRankingLoss

    from hfneg.training.parts import last_checkpoint
    from hfneg.training.stopping import StopAt

    model = load(start)
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(out),
        max_steps=steps,
        per_device_train_batch_size=min(settings.batch, len(rows)),
        learning_rate=settings.rate,
        warmup_steps=0.1,
        seed=seed,
        save_strategy="no",
        save_total_limit=1,
        report_to="none",
        disable_tqdm=True,
    )
    loss = MarginMSELoss(model) if distil else MultipleNegativesRankingLoss(model)
    stops = [] if end is None else [StopAt(end)]
    before = None if end is None else last_checkpoint(out)
    SentenceTransformerTrainer(
        model=model, args=arguments, train_dataset=rows, loss=loss, callbacks=[*callbacks, *stops]
    ).train(resume_from_checkpoint=None if before is None else str(before))
    return model


def ranking(model: Any, queries: list[str], texts: list[str], k: int = 100) -> npt.NDArray[np.int64]:
    """The k best rows for each query, exactly."""
    documents = model.encode_document(texts, normalize_embeddings=True, show_progress_bar=False, batch_size=128)
    asked = model.encode_query(queries, normalize_embeddings=True, show_progress_bar=False, batch_size=128)
    found = []
    for start in range(0, len(asked), 512):
        scores = asked[start : start + 512] @ documents.T
        top = np.argpartition(-scores, min(k, scores.shape[1] - 1), axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
        found.append(np.take_along_axis(top, order, axis=1))
    return np.concatenate(found)
