"""The last layer of an encoder for the first token alone, where that is all that the head reads.

A classification head of the BERT family reads the last layer's vector of the first token. The other tokens' vectors
of that layer are computed and thrown away: their queries, their attention and their feed-forward, five sixths of a
layer. Left out, a model of 6 layers has 14% less to do and one of 12 layers 7%, with equal scores.

The attention is that of A. Vaswani et al., "Attention Is All You Need" (2017), section 3.2, with one query.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any

LAYERS = ("BertLayer", "RobertaLayer", "XLMRobertaLayer", "CamembertLayer", "ElectraLayer")
"""Classes of transformers whose parts have the names used here."""
PAIRS, TOKENS = 8, 16  # of the probe
CLOSE = {"float32": 1e-5}
COARSE = 0.02  # for shorter numbers

_trusted: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()
"""Whether the short way gave a model's scores."""


@contextlib.contextmanager
def first_token_alone(model: Any) -> Iterator[bool]:
    """Inside the block a CrossEncoder's last layer gives the first token only; yields whether it does.

    A model of another family, or one whose scores the short way does not give (it is tried once on random tokens),
    is left as it is. `model` must be in evaluation mode.
    """
    layer = _last_layer(model)
    if layer is None:
        yield False
        return
    inner = model.model
    if inner not in _trusted:
        _trusted[inner] = _gives_the_same(inner, layer)
    if not _trusted[inner]:
        yield False
        return
    with _short(layer):
        yield True


def _last_layer(model: Any) -> Any:
    """The last layer of a plain encoder with a classification head, else None."""
    inner: Any = getattr(model, "model", None)
    if len(model) != 1 or not type(inner).__name__.endswith("ForSequenceClassification"):
        return None
    base = getattr(inner, getattr(inner, "base_model_prefix", ""), None)
    layers = getattr(getattr(base, "encoder", None), "layer", None)
    if not layers or type(layers[-1]).__name__ not in LAYERS or "forward" in vars(layers[-1]):
        return None  # the last: somebody else's forward is in its place
    config = inner.config
    if getattr(config, "is_decoder", False) or getattr(config, "add_cross_attention", False):
        return None
    plain = getattr(config, "position_embedding_type", None) in (None, "absolute")
    return layers[-1] if plain else None


@contextlib.contextmanager
def _short(layer: Any) -> Iterator[None]:
    import transformers

    whole, in_tuple = (
        layer.forward,
        int(transformers.__version__.split(".")[0]) < 5,
    )  # before, a layer gave (hidden, attentions, ...)

    def forward(hidden: Any, attention_mask: Any = None, *others: Any, **settings: Any) -> Any:
        if attention_mask is not None and attention_mask.ndim != 4:  # of an attention that packs its tokens
            return whole(hidden, attention_mask, *others, **settings)
        given = _first(layer, hidden, attention_mask)
        return (given,) if in_tuple else given

    layer.forward = forward
    try:
        yield
    finally:
        del layer.forward


def _first(layer: Any, hidden: Any, mask: Any) -> Any:
    """[n, tokens, d], mask [n, 1, 1 or tokens, tokens] -> [n, 1, d]: the layer's output for the first token."""
    from torch.nn.functional import scaled_dot_product_attention

    attention = layer.attention.self
    n, tokens, _ = hidden.shape
    heads, first = attention.num_attention_heads, hidden[:, :1]
    query = attention.query(first).view(n, 1, heads, -1).transpose(1, 2)
    key = attention.key(hidden).view(n, tokens, heads, -1).transpose(1, 2)
    value = attention.value(hidden).view(n, tokens, heads, -1).transpose(1, 2)
    seen = None if mask is None else mask[:, :, :1]
    context = scaled_dot_product_attention(query, key, value, attn_mask=seen).transpose(1, 2).reshape(n, 1, -1)
    attended = layer.attention.output(context, first)
    return layer.output(layer.intermediate(attended), attended)


def _gives_the_same(inner: Any, layer: Any) -> bool:
    """Whether the short way gives the scores of the whole model, on random tokens and padding."""
    import torch

    dtype = str(inner.dtype).removeprefix("torch.")
    features = probe(inner)
    with torch.inference_mode():
        whole = inner(**features).logits.float()
        try:
            with _short(layer):
                short = inner(**features).logits.float()
        except (AttributeError, IndexError, RuntimeError, TypeError, ValueError):  # parts of other names or shapes
            return False
    near = CLOSE.get(dtype, COARSE) * (1 + float(whole.abs().max()))
    return whole.shape == short.shape and bool((whole - short).abs().max() <= near)


def probe(inner: Any) -> dict[str, Any]:
    """Random tokens for a model of transformers: tensors [8, 16], half of the rows padded."""
    import torch

    config, maker = inner.config, torch.Generator().manual_seed(0)
    tokens = min(TOKENS, config.max_position_embeddings // 2)
    ids = torch.randint(config.vocab_size, (PAIRS, tokens), generator=maker)
    mask = torch.ones_like(ids)
    mask[::2, tokens // 2 :] = 0
    return {"input_ids": ids.to(inner.device), "attention_mask": mask.to(inner.device)}
