"""Run by test_same_values as a process of its own: map pairs with changed recipes and say what was called."""

from __future__ import annotations

import json
import sys
from typing import Any

from datasets import load_dataset
from datasets.fingerprint import Hasher
from small_collection import documents
from test_same_values import RECIPES

import hfneg
from hfneg.pipeline.transform import Transform


def main(pairs_file: str, changes: str) -> None:
    calls = []
    run = Transform.__call__

    def counted(self: Transform, batch: Any) -> Any:
        calls.append(1)
        return run(self, batch)

    Transform.__call__ = counted  # type: ignore[method-assign]
    rows = load_dataset("parquet", data_files=pairs_file, split="train")
    answers = []
    for settings in json.loads(changes):
        texts = documents() if "corpus" not in settings else [*documents(), "one more"]
        corpus = hfneg.Corpus.from_texts(texts)
        anchors = hfneg.Anchors(rows, corpus, anchor="query", positive="answer")
        recipe = RECIPES["rrf"].with_settings([setting for setting in settings if setting != "corpus"])
        transform = recipe.transform(anchors)
        digest = Hasher.hash(transform)
        calls.clear()
        mapped = rows.map(transform, batched=True)
        answers.append({"calls": len(calls), "files": mapped.cache_files, "hash": digest})
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
