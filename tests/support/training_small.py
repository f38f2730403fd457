"""A small model, and a trainer that remembers which version of the negatives each batch it trained on was made of."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from small_collection import WORDS, documents, pairs
from tokenizers import Tokenizer, models, pre_tokenizers

from hfneg.training import live

TEXTS = documents(120)
PAIRS = pairs(40, texts=TEXTS).remove_columns(["topic", "level", "origin", "relevant"])


def static_model(seed: int) -> SentenceTransformer:
    """A StaticEmbedding over the collection's words."""
    vocabulary = {word: i for i, word in enumerate(["[UNK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    weights = np.random.default_rng(seed).normal(size=(len(vocabulary), 8)).astype(np.float32)
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu")


class Marking:
    """A collator that writes the current version into each batch it makes, in whatever process that is."""

    def __init__(self, collator: Any, folder: Any) -> None:
        self.collator, self.folder = collator, folder

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["collator"], name)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __call__(self, rows: Any) -> Any:
        version = json.loads((self.folder / live.CURRENT).read_text())["version"]
        return {**self.collator(rows), "version_seen": torch.tensor([version])}


class Remembering(SentenceTransformerTrainer):
    """`seen`: (step that the batch belongs to, version, learning rate)."""

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        version = int(inputs.pop("version_seen"))
        self.seen.append([self.state.global_step, version, self.lr_scheduler.get_last_lr()[0]])
        return super().compute_loss(model, inputs, *args, **kwargs)


def trainer_of(model: Any, args: Any, refresh: Any, *more: Any) -> Any:
    trainer = Remembering(
        model=model,
        args=args,
        train_dataset=refresh.dataset,
        loss=MultipleNegativesRankingLoss(model),
        callbacks=[refresh, *more],
    )
    trainer.seen = []
    trainer.data_collator = Marking(trainer.data_collator, refresh.folder)
    return trainer
