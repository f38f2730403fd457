"""``pool="previous"``: search only documents that the last round's lists named, and say what that misses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from hfneg.base.arrays import Ints
from hfneg.base.hashing import uniform
from hfneg.data.corpus import Corpus
from hfneg.models.encoder import Encoder
from hfneg.runs.folder.mined import refuse_damaged

if TYPE_CHECKING:
    from hfneg.training.round import Round


PROBES = 2_000
"""Documents outside the pool that are encoded to estimate what it misses."""
ASKED = 200
"""Anchors that are compared with them."""


def narrowed(before: Round, corpus: Any, model: Any) -> tuple[Corpus, dict[str, Any]]:
    """The documents of the last round's candidate lists as a corpus, and what the new model would find outside it.

    The estimate: of a random sample of documents outside, how many score above the last candidate of an anchor's list
    under the new model, scaled to all of them. It needs PROBES + ASKED x k encodings, not the corpus.
    """
    whole = Corpus(before.summary["corpus"])
    named = _named_rows(before)
    pool = Corpus.from_dataset(_documents(whole, named), text="text", id="id")
    outside = np.setdiff1d(np.arange(len(whole)), named)
    facts = {
        "documents": len(whole),
        "searched": len(named),
        "missed_per_anchor": _missed(before, whole, outside, Encoder(model)),
        "k": before.recipe.k,
    }
    return pool, facts


def _named_rows(before: Round) -> Ints:
    """Rows of all candidates and positives of the round, each once."""
    refuse_damaged(before.mined_folder, "ledger/")
    found: Ints = np.empty(0, dtype=np.int64)
    for path in sorted((before.mined_folder / "ledger").glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(4_096, columns=["rows", "positive_rows"]):
            lists = [batch[name].flatten().to_numpy(zero_copy_only=False) for name in ("rows", "positive_rows")]
            found = np.union1d(found, np.concatenate(lists).astype(np.int64))
    return found


def _documents(corpus: Corpus, rows: Ints) -> Any:
    for start in range(0, len(rows), 4_096):
        at = rows[start : start + 4_096]
        for id, text in zip(corpus.ids(at), corpus.texts(at).to_pylist(), strict=True):
            yield {"id": id, "text": text}


def _missed(before: Round, corpus: Corpus, outside: Ints, encoder: Encoder) -> float:
    """Estimated mean number of documents outside the pool that score above the k-th in it."""
    if not len(outside):
        return 0.0
    drawn = outside[
        np.argsort(uniform(before.number, np.zeros(len(outside), np.uint64), outside), kind="stable")[:PROBES]
    ]
    probes = encoder.encode(corpus.texts(drawn).to_pylist(), "document")
    path = next(iter(sorted((before.mined_folder / "ledger").glob("*.parquet"))))
    rows = next(pq.ParquetFile(path).iter_batches(ASKED, columns=["anchor", "rows"])).to_pylist()
    rows = [row for row in rows if row["rows"]]
    queries = encoder.encode([row["anchor"] for row in rows], "query")
    listed = np.unique(np.concatenate([row["rows"] for row in rows]).astype(np.int64))
    vectors = encoder.encode(corpus.texts(listed).to_pylist(), "document")
    above = 0
    for query, row in zip(queries, rows, strict=True):
        last = (vectors[np.searchsorted(listed, row["rows"])] @ query).min()
        above += int((probes @ query > last).sum())
    return above / len(rows) * len(outside) / len(drawn)
