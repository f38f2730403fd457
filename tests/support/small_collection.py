"""A small collection full of difficult cases, a deterministic encoder, and a comparison to the bit.

Documents are drawn from few words, so that BM25 and the encoder give many of them the same score; some are
repeated, exactly or but for case. Several rows share an anchor with different positives, some spell it
differently; one anchor has no word that any document has, one is itself a document.
"""

from __future__ import annotations

import random
from typing import Any

import datasets
import numpy as np
import pyarrow as pa

from hfneg.base import columns
from hfneg.base.hashing import hash_texts, normal_form

WORDS = "fault slip wave rock melt crust plate mantle tremor shock magma vent ridge basin strain slab".split()  # noqa: SIM905


def documents(n: int = 220, seed: int = 7) -> list[str]:
    draw = random.Random(seed)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(2, 6))) for _ in range(n - 12)]
    return texts + texts[:4] + [text.upper() for text in texts[4:8]] + [f"{text} " for text in texts[8:12]]


FEATURES = datasets.Features(
    {
        "topic": datasets.ClassLabel(names=["land", "sea"]),
        "query": datasets.Value("string"),
        "answer": datasets.Value("string"),
        "level": datasets.Value("int8"),
        "origin": {"page": datasets.Value("int16"), "lines": datasets.List(datasets.Value("float32"))},
        "relevant": datasets.List(datasets.Value("string")),
    }
)


def pairs(n: int = 64, seed: int = 11, texts: list[str] | None = None) -> datasets.Dataset:
    """`n` rows; column ``relevant`` holds further relevant documents as ids, as texts, and unknown ones."""
    draw = random.Random(seed)
    texts = texts or documents()
    rows = []
    for i in range(n - 3):
        if i % 3 or not rows:
            answer = draw.choice(texts)
            query = " ".join(draw.sample(answer.split(), k=draw.randint(1, 2)))
        else:
            sibling = draw.choice(rows)
            query = draw.choice([str.upper, str.title, lambda text: f"  {text} \n"])(sibling["query"])
            answer = draw.choice([text for text in texts if sibling["query"].lower().split()[0] in text.lower()])
        rows.append({"query": query, "answer": answer})
    rows.insert(n // 2, {"query": texts[20], "answer": texts[21]})
    rows.insert(n // 2 + 1, {"query": rows[0]["query"], "answer": "a positive that is in no corpus"})
    rows.append({"query": "qwertz", "answer": texts[22]})
    for i, row in enumerate(rows):
        known = [str(draw.randrange(len(texts))), draw.choice(texts)]
        row |= {
            "topic": i % 2,
            "level": i - 30,
            "origin": {"page": i, "lines": [i / 4] * (i % 3)},
            "relevant": None if i % 7 == 0 else [*known, "no such document"][: i % 4],
        }
    return datasets.Dataset.from_list(rows, features=FEATURES)


class HashEncoder:
    """The sum of one small whole-number vector per word: equal on every machine, in every batch, with many ties."""

    id = "hash-encoder-8"
    similarity_fn_name = "cosine"

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.stack([self._vector(text) for text in texts])

    def _vector(self, text: str) -> np.ndarray:
        words = hash_texts(normal_form(text).split())["low"]
        return ((words[:, None] >> np.arange(0, 24, 3, dtype=np.uint64)) % np.uint64(3)).sum(axis=0).astype(np.float32)


def bits(column: pa.ChunkedArray | pa.Array) -> Any:
    """The values of a column in a form in which equal means equal in every bit (NaN too)."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_list(column.type):
        return column.value_lengths().to_pylist(), bits(column.flatten())
    if pa.types.is_float32(column.type):
        return column.to_numpy(zero_copy_only=False).view(np.uint32).tolist()
    return column.to_pylist()


def values(rows: Any, names: list[str] | None = None) -> dict[str, Any]:
    """Every column (or `names`) of a dataset or a stream, in bits, with its type."""
    if isinstance(rows, datasets.IterableDataset):
        rows = datasets.Dataset.from_list(list(rows), features=rows.features)
    table: pa.Table = rows.with_format("arrow")[:]
    return {name: (str(table.schema.field(name).type), bits(table[name])) for name in names or table.column_names}


def ours(rows: Any) -> dict[str, Any]:
    """The columns that hfneg added, in bits."""
    return values(rows, [name for name in columns.OURS if name in rows.column_names])
