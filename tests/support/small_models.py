"""A tiny bi-encoder and a tiny cross-encoder, made in a moment, which know the words of the demo collection."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from places import RECIPES

DEMO = RECIPES / "demo" / "earthquakes"


def words_of(folder: Path) -> list[str]:
    lines = [json.loads(line) for name in ("corpus", "queries") for line in (folder / f"{name}.jsonl").open()]
    counts = Counter(word for line in lines for word in re.findall(r"\w+", line["text"].lower()))
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(word for word, _ in counts.most_common(1500))]


def tokenizer() -> Any:
    """Of the demo's words, lower case; anything else is unknown."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words_of(DEMO))}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def save_encoder(folder: Path) -> Path:
    """A bi-encoder: the mean of a random vector per word, so that texts with words in common are near."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import StaticEmbedding

    torch.manual_seed(3)
    SentenceTransformer(modules=[StaticEmbedding(tokenizer(), embedding_dim=32)], device="cpu").save(str(folder))
    return folder


def save_teacher(folder: Path) -> Path:
    """A cross-encoder of one layer and random weights whose probabilities lie all over 0 to 1."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    made = tokenizer()
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    fast = PreTrainedTokenizerFast(tokenizer_object=made, mask_token="[MASK]", model_max_length=64, **names)
    fast.save_pretrained(folder)
    torch.manual_seed(3)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    sizes |= {"vocab_size": made.get_vocab_size(), "max_position_embeddings": 64, "num_labels": 1}
    model = BertForSequenceClassification(BertConfig(**sizes, initializer_range=0.2))
    model.classifier.weight.data *= 40  # so that probabilities lie all over 0 to 1
    model.classifier.bias.data += 6
    model.save_pretrained(folder)
    return folder
