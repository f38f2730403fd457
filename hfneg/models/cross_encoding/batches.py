"""Pairs through a cross-encoder in batches of fixed shapes.

A model's output differs in its last bits with the shape of the batch, not with its other rows. So a batch has
one of few widths (tokens) and, for each width, one number of rows: a tokenised pair waits for others of its width,
and what is left at the end is filled up by repetition. A score then depends on the pair and on the machine alone:
not on the other pairs, their number or their order. (Seen bit by bit on CPUs with AVX-512, where the number of
rows is a multiple of 8; 5 rows gave differences of 5e-7.)

Short pairs never pay for the padding of long ones, which is also most of the gain over one call per anchor.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hfneg.base.arrays import Floats as Scores, Ints as Positions
from hfneg.base.memory import Halving
from hfneg.errors import TeacherError

TOKENIZED = 256  # pairs at once
TOKENS_A_CORE = 512  # in one forward pass on a CPU: larger batches leave its caches
TOKENS = (1_024, 16_384)  # at least, whatever the CPU; at most, and on a GPU
ROWS = 8  # the number of rows is a multiple of it

Features = dict[str, Any]
Forward = Callable[[Features, int], Scores]
"""(tensors [rows, width] by name, n) -> float32 [n]: the logits of the first n rows."""


class Batch(NamedTuple):
    positions: Positions  # int64 [m]; the rows behind the first m are repetitions
    features: Features  # tensors [rows, width]


def rows_for(width: int, device: str, batch_size: int | None) -> int:
    """How many pairs of `width` tokens go through the model at once.

    It depends on the machine, not on how many threads or processes share it.
    """
    least, most = TOKENS
    tokens = min(max(least, TOKENS_A_CORE * (os.cpu_count() or 1)), most) if device == "cpu" else most
    return batch_size or max(ROWS, tokens // width // ROWS * ROWS)


def widths_up_to(longest: int) -> npt.NDArray[np.int64]:
    """8, 16 .. 128 by 8, .. 256 by 16, .. 512 by 32 and so on; the last is `longest`: padding is about 6%."""
    widths = [8]
    while widths[-1] < longest:
        widths.append(widths[-1] + max(8, 1 << (widths[-1].bit_length() - 4)))
    return np.minimum(np.asarray(widths, dtype=np.int64), longest)


class Waiting:
    """Tokenised pairs by the width of the batch they wait for."""

    def __init__(self, tokenizer: Any, device: str, batch_size: int | None) -> None:
        self._device, self._batch_size = device, batch_size
        self._left = getattr(tokenizer, "padding_side", "right") == "left"
        self._fill = {
            "input_ids": getattr(tokenizer, "pad_token_id", None) or 0,
            "token_type_ids": getattr(tokenizer, "pad_token_type_id", None) or 0,
        }
        self._waiting: dict[int, Batch] = {}

    def add(self, start: int, features: Features, widths: npt.NDArray[np.int64]) -> Iterator[Batch]:
        """Take pairs ``start ..`` of `features`; yields the batches that are full now."""
        of_pair = widths[np.searchsorted(widths, features["attention_mask"].sum(1).numpy())]
        for width in np.unique(of_pair).tolist():
            there = np.flatnonzero(of_pair == width)
            yield from self._full(width, Batch(start + there, self._fitted(features, there, width)))

    def rest(self) -> Iterator[Batch]:
        """What never became a full batch, filled up by repetition."""
        for width, (positions, features) in sorted(self._waiting.items()):
            if len(positions):
                rows = np.arange(rows_for(width, self._device, self._batch_size)) % len(positions)
                yield Batch(positions, _rows(features, rows))
        self._waiting.clear()

    def _full(self, width: int, new: Batch) -> Iterator[Batch]:
        batch = _joined(self._waiting[width], new) if width in self._waiting else new
        size = rows_for(width, self._device, self._batch_size)
        while len(batch.positions) >= size:
            yield Batch(batch.positions[:size], _rows(batch.features, slice(size)))
            batch = Batch(batch.positions[size:], _rows(batch.features, slice(size, None)))
        self._waiting[width] = batch

    def _fitted(self, features: Features, rows: Positions, width: int) -> Features:
        return {
            name: _fit(value[rows], width, self._fill.get(name, 0), self._left) if hasattr(value, "shape") else value
            for name, value in features.items()
        }


def _fit(values: Any, width: int, fill: int, left: bool) -> Any:
    """[n, any] -> [n, width]: padding is cut off or added on its side."""
    import torch

    have = values.shape[1]
    if have >= width:
        return values[:, have - width :] if left else values[:, :width]
    return torch.nn.functional.pad(values, (width - have, 0) if left else (0, width - have), value=fill)


def _rows(features: Features, rows: Any) -> Features:
    return {name: value[rows] if hasattr(value, "shape") else value for name, value in features.items()}


def _joined(one: Batch, other: Batch) -> Batch:
    import torch

    features = {
        name: torch.cat([value, other.features[name]]) if hasattr(value, "shape") else value
        for name, value in one.features.items()
    }
    return Batch(np.concatenate([one.positions, other.positions]), features)


def score_pairs(
    model: Any,
    anchors: list[str],
    documents: list[str],
    done: Callable[[Positions | Sequence[int], Scores], None],
    *,
    forward: Forward,
    prompt: str | None,
    batch_size: int | None,
    fits: Halving,
) -> None:
    """Raw outputs of a CrossEncoder in evaluation mode, by `forward`, batch by batch, to `done`."""
    import torch

    score = _fitted(forward, fits)

    waiting = Waiting(model.tokenizer, model.device.type, batch_size)
    with torch.inference_mode():
        for start in range(0, len(anchors), TOKENIZED):
            stop = start + TOKENIZED
            pairs = [list(pair) for pair in zip(anchors[start:stop], documents[start:stop], strict=True)]
            features = dict(model.preprocess(pairs, prompt=prompt))
            if not _fits(features, len(pairs)):
                done(range(start, start + len(pairs)), _as_it_comes(model, pairs, forward, prompt, fits))
                continue
            widths = widths_up_to(_longest(model, features["attention_mask"].shape[1]))
            for batch in waiting.add(start, features, widths):
                done(batch.positions, score(batch.features, len(batch.positions)))
        for batch in waiting.rest():
            done(batch.positions, score(batch.features, len(batch.positions)))


def _fits(features: Features, n: int) -> bool:
    """Whether these are n padded rows of tokens that can be regrouped."""
    mask = features.get("attention_mask")
    shape = getattr(mask, "shape", None)
    return (
        shape is not None
        and len(shape) == 2
        and shape[0] == n
        and all(value.shape == shape for value in features.values() if hasattr(value, "shape"))
    )


def _longest(model: Any, needed: int) -> int:
    """The widest batch: as many tokens as the model takes, so that padding never exceeds its positions."""
    given = model.max_seq_length
    return max(needed, given) if isinstance(given, int) and given < 1 << 20 else 1 << (max(needed, 8) - 1).bit_length()


def _fitted(forward: Forward, fits: Halving) -> Forward:
    """`forward` of fixed shapes in pieces, again of few fixed shapes, where a whole batch does not fit into memory."""

    def in_pieces(features: Features, n: int) -> Scores:
        rows, width = features["attention_mask"].shape
        scores: list[Scores] = []
        while (at := sum(map(len, scores))) < n:
            scores.append(fits.run(partial(_piece, forward, features, at), rows - at, width))
        return np.concatenate(scores)[:n]

    return in_pieces


def _piece(forward: Forward, features: Features, start: int, n: int) -> Scores:
    whole = not start and n == len(features["attention_mask"])
    return forward(features if whole else _rows(features, slice(start, start + n)), n)


def _as_it_comes(model: Any, pairs: list[list[str]], forward: Forward, prompt: str | None, fits: Halving) -> Scores:
    """Pairs whose features are packed without padding, or hold more than text: in the shapes that the model makes."""
    scores: list[Scores] = []
    while (at := sum(map(len, scores))) < len(pairs):
        scores.append(
            fits.run(lambda n: forward(dict(model.preprocess(pairs[at : at + n], prompt=prompt)), n), len(pairs) - at)
        )
    return np.concatenate(scores)


def torch_forward(model: Any) -> Forward:
    """The CrossEncoder itself; logits whatever its activation."""
    return partial(_forward, model)


def _forward(model: Any, features: Features, n: int) -> Scores:
    on_device = {name: v.to(model.device) if hasattr(v, "shape") else v for name, v in features.items()}
    outputs = model(on_device)["scores"]
    if outputs.ndim == 2 and outputs.shape[1] == 1:
        outputs = outputs[:, 0]
    if outputs.ndim != 1:
        raise TeacherError(f"the model returned scores of shape {tuple(outputs.shape)}; one per pair was expected")
    scores: Scores = outputs.float().cpu().numpy()[:n]
    return scores
