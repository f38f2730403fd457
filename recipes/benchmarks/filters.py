"""Each filter alone against none: how many negatives it leaves, how many of them are false, how hard the others are.

    python recipes/benchmarks/filters.py BEIR_FOLDER --model MODEL --teacher TEACHER --anchors 300

On a collection with complete judgments (see --truth for others), with one positive of each anchor shown, drawn at
random. Of all anchors a sample is mined; near anchors and co-positives are still looked for among all. The negatives
are the first survivors of one retrieved list, so all filters choose from the same.

A filter that leaves fewer negatives, or easier ones, has fewer false ones for nothing. So beside its share stands that
of skipping so many first ranks that the true negatives are as hard, with as many for each anchor
(hfneg/review/yardstick.py): "ratio" is the one divided by the other, with a 95% interval. A filter helps where it is
below 1.

--judge-errors adds judges that know the truth and turn it over at random in so many of the pairs, asked on demand; how
many pairs an anchor that took stands behind them.

Hard: the mean of s(anchor, negative) - s(anchor, positive) over true negatives. s must be neither the miner's nor a
filter's model; by default it is the cosine of word counts weighted by rarity, and the miner is Dense(MODEL).
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np


class Words:
    """A reference encoder without a model: hashed words, weighted by how few of the corpus's documents have them."""

    similarity_fn_name = "cosine"

    def __init__(self, texts: Any) -> None:
        self.id = "words"
        self.documents = Counter(slot for text in texts for slot in set(self._slots(text)))
        self.total = len(texts)

    def _slots(self, text: str) -> list[int]:
        from hfneg.base.hashing import hash_texts

        words = "".join(mark if mark.isalnum() else " " for mark in text.lower()).split()
        return (hash_texts(words)["low"] % 16_384).tolist() if words else []

    def encode(self, texts: list[str]) -> Any:
        vectors = np.zeros((len(texts), 16_384), dtype=np.float32)
        for i, text in enumerate(texts):
            for slot, count in Counter(self._slots(text)).items():
                vectors[i, slot] = (1 + math.log(count)) * math.log(1 + self.total / (1 + self.documents[slot]))
        return vectors


class Collection:
    """A sample of anchors with their candidates, what is relevant for each, and the reference's scores."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        import hfneg
        from hfneg.models.encoder import Encoder

        rows, corpus = hfneg.load_beir(chosen.folder)
        relevant = relevance(rows, corpus, chosen)
        rows = rows.map(lambda row: {"positive_ids": drawn(row, chosen.show_positives)}, remove_columns="positive")
        self.anchors = hfneg.Anchors(rows, corpus, anchor="query", positive="positive_ids")
        shown = zip(rows["query_id"], rows["positive_ids"], strict=True)
        several = [i for i, (name, ids) in enumerate(shown) if len(relevant[name]) > len(ids)]
        picked = sorted(random.Random(0).sample(several, min(chosen.anchors, len(several))))
        miner = hfneg.Dense(chosen.model) if chosen.miner == "dense" else hfneg.BM25()
        self.rows = rows.select(picked).map(
            hfneg.Retrieve(self.anchors, miner, k=chosen.candidates), batched=True, batch_size=len(picked)
        )
        self.relevant = [relevant[name] for name in self.rows["query_id"]]
        self.reference = Encoder(chosen.reference or Words(corpus.texts(range(len(corpus))).to_pylist()))
        self.known: list[dict[int, float]] = [{} for _ in picked]
        self.n = chosen.negatives

    def negatives(self, teacher: Any = None, filters: Any = (), n: int | None = None) -> list[list[int]]:
        """Corpus rows per anchor."""
        import hfneg

        select = hfneg.Select(self.anchors, teacher=teacher, filters=filters, sampler=hfneg.TakeTop(n or self.n))
        mined = self.rows.map(select, batched=True, batch_size=len(self.rows), load_from_cache_file=False)
        return [self.anchors.corpus.rows_of_ids(ids).tolist() for ids in mined["hard_negative_ids"]]

    def pairs(self, negatives: list[list[int]]) -> Any:
        """Lists of the anchors with what is known of them."""
        from hfneg.review.yardstick import Pairs

        owners = np.repeat(np.arange(len(negatives)), [len(rows) for rows in negatives])
        relevant = [row in known for rows, known in zip(negatives, self.relevant, strict=True) for row in rows]
        return Pairs(owners, np.array(relevant, dtype=np.float64), np.array(self._hardness(negatives)))

    def _hardness(self, negatives: list[list[int]]) -> list[float]:
        """Of each pair; only what is asked for is encoded, each pair once."""
        differences: list[float] = []
        for i, rows in enumerate(negatives):
            own = self.anchors.corpus.rows_of_ids(self.rows[i]["positive_ids"]).tolist()
            missing = [row for row in {*own, *rows} if row not in self.known[i]]
            if missing:
                anchor = self.reference.encode([self.rows[i]["query"]], "query")[0]
                vectors = self.reference.encode(self.anchors.corpus.texts(missing).to_pylist(), "document")
                self.known[i] |= dict(zip(missing, (vectors @ anchor).tolist(), strict=True))
            positive = np.mean([self.known[i][row] for row in own])
            differences += [self.known[i][row] - positive for row in rows]
        return differences

    def judges(self, errors: list[float], seed: int = 0) -> Iterator[tuple[str, Any, list[Any]]]:
        """Judges that know the truth and err in this share of the pairs, as a hash of the pair says."""
        import hfneg
        from hfneg.base.hashing import hash_texts, uniform

        texts = {row["query"]: known for row, known in zip(self.rows, self.relevant, strict=True)}
        documents = self.anchors.corpus.texts(range(len(self.anchors.corpus))).to_pylist()
        row_of = {text: row for row, text in enumerate(documents)}
        for share in errors:
            asked: list[Any] = []

            def judge(
                anchors: list[str], documents: list[str], share: float = share, asked: Any = asked
            ) -> list[float]:
                asked += anchors
                hashes = [hash_texts([a + "\n" + d])["low"][0] for a, d in zip(anchors, documents, strict=True)]
                wrong = uniform(seed, np.array(hashes, dtype=np.uint64)) < share
                truth = [row_of[d] in texts.get(a, ()) for a, d in zip(anchors, documents, strict=True)]
                return [float(known != err) for known, err in zip(truth, wrong, strict=True)]

            teacher = hfneg.FunctionTeacher(judge, id=f"{share} {seed}", scale="from_zero", positives=False)
            yield f"judge, {share:.0%} errors", teacher, asked


def drawn(row: Any, n: int) -> list[str]:
    """n of an anchor's positives, by a seed of its own: the first ones of the file may be the same for many anchors."""
    return random.Random(row["query_id"]).sample(row["positive_ids"], min(n, len(row["positive_ids"])))


def relevance(rows: Any, corpus: Any, chosen: argparse.Namespace) -> dict[str, set[int]]:
    """Corpus rows of all relevant documents of each query id, also by the further judgments."""
    from pathlib import Path

    from hfneg.data.files.qrels import must_be_qrels

    ids = {row["query_id"]: set(row["positive_ids"]) for row in rows}
    for split in chosen.truth:
        for query, document in must_be_qrels(Path(chosen.folder) / "qrels" / f"{split}.tsv").relevant:
            if query in ids:
                ids[query].add(document)
    return {query: set(corpus.rows_of_ids(sorted(documents)).tolist()) for query, documents in ids.items()}


def settings(kind: type, chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """The settings that are tried; of a filter that is not named here its defaults."""
    known: dict[str, list[dict[str, Any]]] = {
        "RankWindow": [{"skip": skip} for skip in (10, 30)],
        "Band": [{"high": 0.7, "by": "score"}, {"high": 0.5, "by": "score"}] if chosen.miner == "dense" else [],
        "Margin": [{"relative": 0.05, "by": "score"}, {"relative": 0.05, "by": "teacher"}],
        "Agreement": [],  # of several teachers
        "Hubs": [],  # counts over all anchors, of which this is a sample
        "OtherCluster": [{"clusters": 64}, {"clusters": 256}],
        "NearAnchorPositives": [
            *({"neighbours": 10, "similarity": similarity} for similarity in (0.95, 0.9, 0.85, 0.8)),
            {"neighbours": 50, "similarity": 0.9},
            {"neighbours": 50, "similarity": 0.6},
        ],
        "PositiveSimilarity": [
            *({"below": below} for below in (0.9, 0.8, 0.7, 0.6)),
            *({"quantile": quantile} for quantile in (0.5, 0.25)),
        ],
        "FirstOfDuplicates": [{"near_duplicate": 0.9}, {"near_duplicate": 0.7}],
    }
    model = {"model": chosen.model} if "model" in {field.name for field in dataclasses.fields(kind)} else {}
    return [{**model, **tried} for tried in known.get(kind.__name__, [{}])]


def filters(chosen: argparse.Namespace) -> Iterator[Any]:
    """Every filter of the package that these arguments allow."""
    import hfneg
    from hfneg.steps.filters import FILTERS

    for kind in FILTERS:
        for tried in settings(kind, chosen):
            try:
                yield kind(**tried)
            except (hfneg.SettingError, TypeError) as error:
                print(f"left out: {kind.__name__} ({error})")


def shown(step: Any) -> str:
    given = {name: value for name, value in step.settings().items() if name != "model" and value is not None}
    return f"{type(step).__name__}({', '.join(f'{name}={value!r}' for name, value in given.items())})"


def compare(collection: Collection, teacher: Any, steps: list[Any], chosen: argparse.Namespace) -> None:
    """The table."""
    import hfneg

    plain = collection.negatives(n=1_000_000)
    ranked = collection.pairs(plain)
    print(f"\n{'filter':<58} {'per anchor':>10} {'false':>7} {'as hard':>8} {'skip':>5} {'ratio':>21} {'hardness':>9}")
    tried: list[tuple[str, Any, Any, list[Any]]] = [("none", None, (), [])]
    for step in steps:
        asks = step.needs_teacher or getattr(step, "by", None) == "teacher"
        tried.append((shown(step), teacher if asks else None, step, []))
    for name, judge, asked in collection.judges(chosen.judge_errors):
        tried.append((name, judge, hfneg.Band(high=0.5, by="teacher"), asked))
    for name, judge, step, asked in tried:
        try:
            found = collection.negatives(judge, step)
        except hfneg.HfnegError as error:
            print(f"{name:<58} left out: {str(error)[:100]}")
            continue
        line(name, found, collection, ranked, f"  {len(asked) / len(found):.1f} pairs an anchor" if asked else "")
    for name, found in mined(collection, chosen):
        line(name, found, collection, ranked, "")


def mined(collection: Collection, chosen: argparse.Namespace) -> Iterator[tuple[str, list[list[int]]]]:
    """Recipes that come with hfneg, by this model, with as many negatives as everything else here."""
    import hfneg

    rows = collection.rows.select_columns(["query", "positive_ids"])
    for name in chosen.recipes:
        recipe = hfneg.Recipe.load(name).with_settings([f"sampler.n={chosen.negatives}"])
        given = {"model": chosen.model} if any(hasattr(step, "model") for step in recipe.retrievers) else {}
        with tempfile.TemporaryDirectory() as out:
            lists = hfneg.mine(
                rows,
                collection.anchors.corpus,
                recipe,
                anchor="query",
                positive="positive_ids",
                out=os.path.join(out, "mined"),
                **given,
            )
            ids = lists["hard_negative_ids"]
            yield f"recipe {name}", [collection.anchors.corpus.rows_of_ids(some).tolist() for some in ids]


def line(name: str, found: list[list[int]], collection: Collection, ranked: Any, rest: str) -> None:
    import hfneg
    from hfneg.review.yardstick import beside_skips

    count = np.mean([len(rows) for rows in found])
    try:
        ours = beside_skips(collection.pairs(found), ranked, len(found))
    except hfneg.InputError as error:
        print(f"{name:<58} {count:>10.2f} {str(error)[:100]}")
        return
    mark = {"i": " ", "h": "<", "e": ">"}[ours.place[0]]
    ends = f"{ours.ratio:.2f} ({ours.low:.2f} to {ours.high:.2f})"
    print(
        f"{name:<58} {count:>10.2f} {ours.rate:>7.1%} {ours.skip_rate:>8.1%} {mark}{ours.skip:>4.0f} {ends:>21} "
        f"{ours.hardness:>+9.3f}{rest}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="with corpus.jsonl, queries.jsonl and qrels/")
    parser.add_argument("--model", required=True, help="a SentenceTransformer: the filters', and the miner's")
    parser.add_argument("--teacher", help="a CrossEncoder; without one, filters that ask a teacher are left out")
    parser.add_argument("--reference", help="a SentenceTransformer that measures hardness instead of words")
    parser.add_argument("--miner", choices=("dense", "bm25"), default="dense")
    parser.add_argument("--show-positives", type=int, default=1)
    parser.add_argument("--truth", nargs="*", default=[], metavar="SPLIT", help="further qrels that name relevant ones")
    parser.add_argument("--recipes", nargs="*", default=["bm25", "dense", "hybrid", "hard_and_random"], metavar="NAME")
    parser.add_argument("--judge-errors", nargs="*", type=float, default=[0.05, 0.1, 0.2], metavar="SHARE")
    for name, default in (("anchors", 300), ("candidates", 200), ("negatives", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("HFNEG_STORE", folder)
        import datasets

        import hfneg

        datasets.disable_progress_bars()
        teacher = hfneg.CrossEncoderTeacher(chosen.teacher, scale="probability") if chosen.teacher else None
        collection = Collection(chosen)
        print(
            f"{len(collection.rows)} of {len(collection.anchors)} anchors, {len(collection.anchors.corpus)} documents"
        )
        compare(collection, teacher, list(filters(chosen)), chosen)


if __name__ == "__main__":
    main()
