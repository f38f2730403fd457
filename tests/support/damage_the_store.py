"""Damage every file of every kind of artefact, use it, and print what came of it; run by test_damage.py.

    python damage_the_store.py FOLDER SEED [--old]

A process of its own: what a damaged file may do is to end the process. Prints a JSON line per case; a case whose line
is missing at the end ended it. With --old the store is one of a version without checksums.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import faults
import numpy as np
import small_collection as small

import hfneg
from hfneg.base.files import checksums
from hfneg.base.hashing import hash_texts
from hfneg.base.store.scores import ScoreStore, pair_keys
from hfneg.models.clusters import cluster_labels
from hfneg.models.encoder import Encoder
from hfneg.models.neighbours import NearAnchors
from hfneg.models.positive_pairs import similarity_quantile
from hfneg.models.vectors import Vectors
from hfneg.steps.retrievers.dense import Dense

TEXTS = small.documents(60)
PAIRS = [{"q": f"{TEXTS[i - i % 3].split()[0]} {i // 3}", "a": text} for i, text in enumerate(TEXTS[:48])]
QUERIES = [row["q"] for row in PAIRS[:12]]
MODEL = small.HashEncoder()


def corpus() -> hfneg.Corpus:
    return hfneg.Corpus.from_texts(TEXTS)


def anchors() -> hfneg.Anchors:
    return hfneg.Anchors(PAIRS, corpus(), anchor="q", positive="a")


def of_corpus(found: hfneg.Corpus) -> Any:
    rows = np.arange(len(found))
    numbers = found.rows_of_ids([str(i) for i in range(len(TEXTS))]), found.rows_of_texts(TEXTS)
    hashes = found.text_hashes.tolist(), found.normal_hashes.tolist(), found.lengths.tolist()
    return found.ids(rows), found.texts(rows).to_pylist(), [some.tolist() for some in numbers], hashes, found.repeated


def of_anchors(found: hfneg.Anchors) -> Any:
    numbers = np.arange(len(found))
    of_rows = found.numbers({"q": [row["q"] for row in PAIRS]}).tolist()
    hashes = found.text_hashes.tolist(), found.normal_hashes.tolist()
    return of_rows, found.texts(numbers).to_pylist(), found.positives(numbers).flat.tolist(), hashes, found.rows


def searched(index: Any) -> Any:
    scores, rows = index.search(QUERIES, 7)
    return np.asarray(scores).view(np.uint32).tolist(), rows.tolist()


def given() -> Any:
    lists = [{"q": row["q"], "found": TEXTS[i : i + 4]} for i, row in enumerate(PAIRS[:12])]
    return hfneg.candidates_from(lists, "found", anchor="q")


def near() -> Any:
    numbers, cosines = NearAnchors(anchors(), Encoder(MODEL), 3).of(np.arange(len(anchors())))
    return numbers.tolist(), cosines.view(np.uint32).tolist()


def vectors() -> Any:
    found = Vectors(corpus(), Encoder(MODEL), "document", part_rows=25)
    return found.dimensions, found.rows(np.arange(len(corpus()))).tolist()


KEYS = pair_keys(hash_texts(QUERIES), hash_texts(TEXTS[: len(QUERIES)]))

USES: dict[str, Callable[[], Any]] = {
    "corpus": lambda: of_corpus(corpus()),
    "anchors": lambda: of_anchors(anchors()),
    "bm25": lambda: searched(hfneg.BM25().open(corpus())),
    "vectors": vectors,
    "faiss": lambda: searched(Dense(MODEL, index="IVF4,Flat").open(corpus())),
    "clusters": lambda: cluster_labels(corpus(), Encoder(MODEL), 4, 0).tolist(),
    "near_anchors": near,
    "co_positives": lambda: similarity_quantile(anchors(), Encoder(MODEL), 0.5),
    "candidates": lambda: searched(given().open(corpus())),
    "scores": lambda: np.nan_to_num(ScoreStore("teacher").get(KEYS), nan=7.0).tolist(),  # asked again: as it was
}
"""How a run uses each kind of artefact: with the data at hand."""

BY_DIGEST: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "corpus": (corpus, of_corpus),
    "anchors": (anchors, of_anchors),
    "bm25": (lambda: hfneg.BM25().open(corpus()), searched),
    "candidates": (given, lambda found: searched(found.open(corpus()))),
}
"""How a worker, or a transform that was pickled, uses it: what makes the object, and what is asked of it."""


def say(facts: Mapping[str, Any]) -> None:
    os.write(1, (json.dumps(facts) + "\n").encode())


def outcome(use: Callable[[], Any], expected: Any, path: Path) -> str:
    try:
        found = use()
    except hfneg.DamagedError as error:
        return "named" if str(path) in str(error) or str(path.parent) in str(error) else f"not named: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "equal" if found == expected else "DIFFERENT"


def without_checksums(store: Path) -> None:
    """As an earlier version left it."""
    for path in store.rglob(checksums.MANIFEST):
        path.unlink()
    for path in store.glob("vectors/*/part-*.npy"):
        path.write_bytes(path.read_bytes()[: -checksums.SEAL_BYTES])
    for path in store.glob("vectors/*/vectors.json"):
        path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "checksum"}))


def main() -> None:
    work, draw, old = Path(sys.argv[1]), random.Random(int(sys.argv[2])), "--old" in sys.argv
    os.environ["HFNEG_STORE"] = str(work / "store")
    logging.getLogger("hfneg").setLevel(logging.ERROR)
    logging.getLogger("faiss").setLevel(logging.ERROR)
    ScoreStore("teacher").put(KEYS, np.full(len(KEYS), 7.0, dtype=np.float32))
    expected = {kind: use() for kind, use in USES.items()}
    pickled = {kind: pickle.dumps(make()) for kind, (make, _) in BY_DIGEST.items()}
    if old:
        without_checksums(work / "store")
        untouched = {path: path.stat().st_mtime_ns for path in (work / "store").rglob("*") if path.is_file()}
        assert {kind: use() for kind, use in USES.items()} == expected
        say({"untouched": all(path.stat().st_mtime_ns == time for path, time in untouched.items())})
    for kind in USES:
        one_kind(work, kind, expected[kind], pickled.get(kind), draw, old)


def one_kind(work: Path, kind: str, expected: Any, pickled: bytes | None, draw: random.Random, old: bool) -> None:
    folder, pristine = work / "store" / kind, work / "pristine"
    faults.restore(pristine, folder)
    used = Vectors(corpus(), Encoder(MODEL), "document", part_rows=25).digest if kind == "vectors" else ""
    for path in sorted(path for path in folder.rglob("[!.]*") if path.is_file() and used in str(path)):
        for fault in (*faults.SIZE, "a folder") if old else faults.ALL:
            case = {"kind": kind, "file": path.name, "fault": fault}
            if faults.damage(path, fault, draw):
                say({**case, "begun": True})
                if pickled is not None:
                    _, ask = BY_DIGEST[kind]
                    case["by_digest"] = outcome(lambda ask=ask: ask(pickle.loads(pickled)), expected, path)
                case["in_a_run"] = outcome(USES[kind], expected, path)
                case["aside"] = len(list(folder.rglob("*.damaged*")))
                say(case)
            faults.restore(folder, pristine)


if __name__ == "__main__":
    main()
