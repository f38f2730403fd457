"""How many negatives are false, and how hard the others are: hfneg with a teacher beside `mine_hard_negatives`.

    python recipes/benchmarks/false_negatives.py BEIR_FOLDER --miner MODEL --teacher CROSS_ENCODER --anchors 300
    python recipes/benchmarks/false_negatives.py medquad --split train --truth medquad/qrels/train_equiv.tsv ...

Both mine with the same bi-encoder and ask the same cross-encoder. Of each anchor the first positive of the file is
shown; the others, and what --truth adds, are false negatives where they are mined. Hard: the mean of s(anchor,
negative) - s(anchor, positive) over true negatives, s being the miner's cosine; a share says nothing without it, and
nothing without the number of negatives.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

Lists = dict[str, list[str]]


class Collection:
    """Shown pairs, all documents, and what is relevant to each anchor."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        import datasets
        from sentence_transformers import SentenceTransformer

        from hfneg.data.files.beir import load_beir
        from hfneg.data.files.qrels import must_be_qrels

        rows, self.corpus = load_beir(chosen.folder, chosen.split, None if chosen.truth else 1)
        if isinstance(rows, dict):
            rows = rows["train"]
        picked = np.random.default_rng(0).permutation(len(rows))[: chosen.anchors]
        rows = rows.select(sorted(picked.tolist()))
        self.texts = self.corpus.texts(range(len(self.corpus))).to_pylist()
        self.row_of = {text: row for row, text in enumerate(self.texts)}
        self.pairs = datasets.Dataset.from_dict(
            {"query": rows["query"], "positive": [texts[0] for texts in rows["positive"]]}
        )
        self.relevant = {row["query"]: {self.row_of[text] for text in row["positive"]} for row in rows}
        names = dict(zip(rows["query_id"], rows["query"], strict=True))
        if not chosen.truth:
            for row in rows:
                self.relevant[row["query"]] |= set(self.corpus.rows_of_ids(row["hidden_positive_ids"]).tolist())
        for path in chosen.truth:
            for query, document in must_be_qrels(path).relevant:
                if query in names:
                    self.relevant[names[query]] |= set(self.corpus.rows_of_ids([document]).tolist())
        self.miner = SentenceTransformer(chosen.miner)
        encode = {"normalize_embeddings": True, "batch_size": 128, "show_progress_bar": False}
        self.documents = self.miner.encode(self.texts, **encode)
        self.queries = dict(zip(rows["query"], self.miner.encode(rows["query"], **encode), strict=True))

    def measured(self, lists: Lists) -> tuple[float, float, float]:
        """(negatives per anchor, share of false ones, hardness of the others)."""
        false, hard = 0, []
        for query, positive in zip(self.pairs["query"], self.pairs["positive"], strict=True):
            rows = [self.row_of[text] for text in lists.get(query, [])]
            wrong = [row in self.relevant[query] for row in rows]
            false += sum(wrong)
            scores = self.documents[[*rows, self.row_of[positive]]] @ self.queries[query]
            hard += [float(s - scores[-1]) for s, bad in zip(scores[:-1], wrong, strict=True) if not bad]
        count = sum(map(len, lists.values()))
        return count / len(self.pairs), false / max(count, 1), float(np.mean(hard)) if hard else float("nan")


def main() -> None:
    chosen = parse()
    data = Collection(chosen)
    print(f"{len(data.pairs)} anchors, {len(data.texts):,} documents, {chosen.negatives} negatives wanted\n")
    print("| | per anchor | false | hardness of the others |\n|---|---:|---:|---:|", flush=True)
    for name, lists in itertools.chain(() if chosen.no_peer else peers(data, chosen), ours(data, chosen)):
        count, false, hard = data.measured(lists)
        print(f"| {name} | {count:.2f} | {false:.1%} | {hard:+.3f} |", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--miner", required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--split")
    parser.add_argument("--truth", type=Path, action="append", default=[], help="qrels of further relevant documents")
    parser.add_argument("--anchors", type=int, default=300)
    parser.add_argument("--negatives", type=int, default=5)
    parser.add_argument("--quantiles", type=float, nargs="*", default=[0.25, 0.1])
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--deeper", type=int, default=4_000)
    parser.add_argument("--depths", type=int, nargs="*", default=[50, 300], help="the peer's, with the cross-encoder")
    parser.add_argument("--no-peer", action="store_true", help="hfneg's rows only")
    parser.add_argument("--dtype", help="of the cross-encoder, both times; bfloat16 is faster where the CPU has it")
    return parser.parse_args()


def peers(data: Collection, chosen: argparse.Namespace) -> Iterator[tuple[str, Lists]]:
    """`mine_hard_negatives` by default, in its NV-Retriever setting, and with the cross-encoder."""
    from sentence_transformers import CrossEncoder
    from sentence_transformers.util import mine_hard_negatives

    loading: dict[str, Any] = {} if chosen.dtype is None else {"dtype": chosen.dtype}
    judge = CrossEncoder(chosen.teacher, model_kwargs=loading)
    settings: dict[str, dict[str, Any]] = {
        "default": {},
        "5% margin": {"range_max": 100, "relative_margin": 0.05},
        **{
            f"cross-encoder, 5% margin, top {depth}": {
                "range_max": depth,
                "relative_margin": 0.05,
                "cross_encoder": judge,
            }
            for depth in chosen.depths
        },
    }
    for name, given in settings.items():
        mined = mine_hard_negatives(
            data.pairs,
            data.miner,
            anchor_column_name="query",
            positive_column_name="positive",
            corpus=data.texts,
            num_negatives=chosen.negatives,
            output_format="labeled-list",
            verbose=False,
            **given,
        )
        lists: Lists = {}
        for row in mined:
            found = [text for text, label in zip(row["positive"], row["labels"], strict=True) if not label]
            lists.setdefault(row["query"], []).extend(found)
        yield f"`mine_hard_negatives`, {name}", lists


def ours(data: Collection, chosen: argparse.Namespace) -> Iterator[tuple[str, Lists]]:
    """Below a quantile of all known positives' teacher scores; short anchors are searched deeper."""
    import hfneg

    teacher = hfneg.CrossEncoderTeacher(chosen.teacher, dtype=chosen.dtype)
    for quantile in chosen.quantiles:
        recipe = hfneg.Recipe(
            retrievers=hfneg.Dense(chosen.miner),
            k=chosen.k,
            teacher=teacher,
            filters=hfneg.BelowPositives(quantile),
            sampler=hfneg.TakeTop(chosen.negatives),
            deeper=chosen.deeper if chosen.deeper > chosen.k else None,
        )
        with tempfile.TemporaryDirectory() as out:
            rows = hfneg.mine(data.pairs, data.corpus, recipe, anchor="query", positive="positive", out=out)
            lists = dict(zip(rows["query"], rows["hard_negatives"], strict=True))
        yield f"hfneg, `BelowPositives({quantile})`, {chosen.k}, then {chosen.deeper}", lists


if __name__ == "__main__":
    main()
