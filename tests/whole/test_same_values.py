"""One transform, many ways to run it: every value of every column is the same, to the bit."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, DatasetDict, Features, IterableDataset, List, Value, load_dataset
from datasets.fingerprint import Hasher
from places import SUPPORT
from small_collection import FEATURES, HashEncoder, documents, ours, pairs, values

import hfneg
from hfneg.base import columns
from hfneg.pipeline.transform import Transform
from hfneg.runs import units

HERE = Path(__file__).parent

ENCODER = HashEncoder()
BM25, DENSE, RANDOM = hfneg.BM25(), hfneg.Dense(ENCODER), hfneg.RandomDocuments(seed=3)
ALL = [BM25, DENSE, RANDOM]
RECIPES = {
    "bm25": hfneg.Recipe(retrievers=[BM25], k=25, sampler=hfneg.TakeTop(5)),
    "bm25-margin": hfneg.Recipe(
        retrievers=[hfneg.BM25(method="bm25+", language=None)],
        k=30,
        filters=[hfneg.RankWindow(skip=1), hfneg.Margin(relative=0.1, against="max")],
        sampler=hfneg.TakeRandom(4, seed=5),
    ),
    "dense": hfneg.Recipe(
        retrievers=[DENSE], k=30, filters=[hfneg.Band(low=0.9)], sampler=hfneg.TakeSimANS(4, a=20.0, b=0.01)
    ),
    "random": hfneg.Recipe(retrievers=[RANDOM], k=20, guard=hfneg.Guard(None), sampler=hfneg.TakeRandom(6, seed=1)),
    "rrf": hfneg.Recipe(
        retrievers=ALL, k=40, fusion=hfneg.RRF(k=10), filters=[hfneg.Margin(absolute=0.01, by="dense")]
    ),
    "weighted": hfneg.Recipe(
        retrievers=[DENSE, BM25],
        k=15,
        fusion=hfneg.WeightedSum(weights={"dense": 0.3}),
        filters=[hfneg.Band(low=0.1, high=0.9)],
        sampler=hfneg.TakeSimANS(5, b=0.1, by="bm25", seed=9),
    ),
    "robin": hfneg.Recipe(
        retrievers=ALL,
        k=20,
        fusion=hfneg.RoundRobin(quotas={"bm25": 4, "random": 6}),
        filters=[hfneg.Band(high=2.5, by="bm25")],
        sampler=hfneg.TakeTop(9),
    ),
}


class World:
    """Pairs, corpus, anchors, and what each recipe gives in one batch."""

    def __init__(self) -> None:
        self.pairs = pairs()
        self.corpus = hfneg.Corpus.from_texts(documents())
        self.anchors = hfneg.Anchors(self.pairs, self.corpus, anchor="query", positive="answer")
        self._mapped: dict[str, Dataset] = {}

    def transform(self, name: str, **settings: Any) -> hfneg.Mine:
        return RECIPES[name].transform(self.anchors, **settings)

    def mapped(self, name: str) -> Dataset:
        if name not in self._mapped:
            self._mapped[name] = self.pairs.map(self.transform(name), batched=True)
        return self._mapped[name]

    def mine(self, name: str, out: Path, rows: Any = None, **settings: Any) -> Any:
        return hfneg.mine(
            self.pairs if rows is None else rows,
            self.corpus,
            RECIPES[name],
            anchor="query",
            positive="answer",
            out=out,
            **settings,
        )


@pytest.fixture(scope="module")
def world() -> World:
    return World()


every_recipe = pytest.mark.parametrize("name", RECIPES)


# The ground of all comparisons: there is something to compare.


@every_recipe
def test_recipes_give_negatives_and_ties(world: World, name: str) -> None:
    """The collection is hard enough: rows with and without enough negatives, tied scores, an anchor without any."""
    mined = world.mapped(name)
    scores = mined["hard_negative_scores"]
    assert sum(map(len, scores)) > 100
    if name in ("bm25", "dense", "weighted"):
        assert sum(len(set(row)) < len(row) for row in scores) > 2
    assert len(set(world.pairs["query"])) > len(world.anchors) + 8
    assert len(world.pairs) > len(world.anchors) + 12
    if name.startswith("bm25"):
        assert mined[-1]["hard_negatives"] == []


# Batches, steps, streams, splits, processes, formats, order.


@every_recipe
@pytest.mark.parametrize("batch_size", [1, 7])
def test_batch_size_changes_nothing(world: World, name: str, batch_size: int) -> None:
    """A batch of 1, of 7 and of all rows give the same bits in every column, the user's included."""
    again = world.pairs.map(world.transform(name), batched=True, batch_size=batch_size)
    assert values(again) == values(world.mapped(name))


@every_recipe
@pytest.mark.parametrize("batch_size", [4, 1000])
def test_two_steps_equal_one(world: World, name: str, batch_size: int) -> None:
    """Retrieve, then Select, in two `.map` calls of different batches, is the recipe's one transform."""
    one = world.transform(name)
    steps = world.pairs.map(one.retrieve, batched=True, batch_size=10).map(
        one.select, batched=True, batch_size=batch_size
    )
    assert values(steps) == values(world.mapped(name))


@every_recipe
def test_kept_candidates_are_those_of_two_steps(world: World, name: str) -> None:
    """keep_candidates=True gives the same negatives, and the candidates and verdicts of the two steps."""
    one = world.transform(name, keep_candidates=True)
    kept = world.pairs.map(one, batched=True, batch_size=11)
    steps = world.pairs.map(one.retrieve, batched=True).map(one.select, batched=True)
    both = [column for column in columns.OURS if column in kept.column_names]
    assert columns.CANDIDATE_VERDICTS in both
    assert values(kept, both) == values(steps, both)
    mined = world.mapped(name)
    assert values(kept, mined.column_names) == values(mined)


@every_recipe
@pytest.mark.parametrize("batch_size", [7, 1000])
def test_stream_equals_dataset(world: World, name: str, batch_size: int) -> None:
    """An IterableDataset gives the rows of the Dataset, with its features."""
    one = world.transform(name)
    stream = world.pairs.to_iterable_dataset(num_shards=3)
    mapped = stream.map(one, batched=True, batch_size=batch_size, features=one.features(stream))
    assert mapped.features == world.mapped(name).features
    assert values(mapped) == values(world.mapped(name))


@every_recipe
def test_staged_stream_equals_dataset(world: World, name: str) -> None:
    """Two steps over a stream too; what Select uses up is named by `drops`."""
    one = world.transform(name)
    stream = world.pairs.to_iterable_dataset()
    found = stream.map(one.retrieve, batched=True, batch_size=9, features=one.retrieve.features(stream))
    chosen = found.map(
        one.select,
        batched=True,
        batch_size=5,
        features=one.select.features(found),
        remove_columns=[column for column in one.select.drops if column in found.features],
    )
    assert values(chosen) == values(world.mapped(name))


@every_recipe
def test_splits_equal_their_rows(world: World, name: str) -> None:
    """Each split of a DatasetDict gets what its rows get in one dataset; anchors know all splits' positives."""
    splits = DatasetDict(train=world.pairs.select(range(50)), test=world.pairs.select(range(50, len(world.pairs))))
    anchors = hfneg.Anchors(splits, world.corpus, anchor="query", positive="answer")
    mapped = splits.map(RECIPES[name].transform(anchors), batched=True, batch_size=20)
    assert values(mapped["train"]) == values(world.mapped(name).select(range(50)))
    assert values(mapped["test"]) == values(world.mapped(name).select(range(50, len(world.pairs))))


@pytest.mark.parametrize("name", ["bm25", "bm25-margin", "random"])
def test_two_processes_equal_one(world: World, name: str) -> None:
    """num_proc=2 (forked workers, other batches) changes nothing."""
    assert values(world.pairs.map(world.transform(name), batched=True, num_proc=2)) == values(world.mapped(name))


@every_recipe
def test_arrow_format_equals_python(world: World, name: str) -> None:
    """On a dataset with the format "arrow", in one step and in two."""
    one = world.transform(name)
    arrow = world.pairs.with_format("arrow")
    expected = values(world.mapped(name))
    assert values(arrow.map(one, batched=True, batch_size=13)) == expected
    assert values(arrow.map(one.retrieve, batched=True).map(one.select, batched=True, batch_size=6)) == expected


@every_recipe
def test_numpy_format_equals_python(world: World, name: str) -> None:
    """On a dataset with the format "numpy", in one step and in two."""
    one = world.transform(name)
    texts = world.pairs.select_columns(["query", "answer"]).with_format("numpy")
    expected = ours(world.mapped(name))
    assert ours(texts.map(one, batched=True, batch_size=13)) == expected
    steps = texts.map(one.retrieve, batched=True).map(
        one.select, batched=True, batch_size=6, remove_columns=list(one.retrieve.adds)
    )
    assert ours(steps) == expected


@every_recipe
def test_shuffled_rows_keep_their_values(world: World, name: str) -> None:
    """The same rows in another order, mapped by the same transform: each row gets what it got."""
    order = np.random.default_rng(0).permutation(len(world.pairs))
    shuffled = world.pairs.select(order).map(world.transform(name), batched=True, batch_size=17)
    assert values(shuffled) == values(world.mapped(name).select(order))


@every_recipe
def test_anchors_of_shuffled_pairs_are_the_same_anchors(world: World, name: str) -> None:
    """Anchors read in another order give each row the same negatives (the corpus must hold all positives).

    The encoder here spells all variants of an anchor alike; of a model that does not, the first spelling counts.
    """
    corpus = world.anchors.corpus
    order = np.random.default_rng(1).permutation(len(world.pairs))
    shuffled = world.pairs.select(order)
    anchors = hfneg.Anchors(shuffled, corpus, anchor="query", positive="answer")
    assert anchors.added == 0
    again = shuffled.map(RECIPES[name].transform(anchors), batched=True)
    assert values(again) == values(world.mapped(name).select(order))


# The long job.


@pytest.fixture
def part_size(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    return lambda size: monkeypatch.setattr(units, "PART", size)


@every_recipe
def test_mine_equals_map(world: World, name: str, tmp_path: Path) -> None:
    """`mine` writes what `.map` gives: rows one to one in their order, the user's columns and all types kept."""
    mined = world.mine(name, tmp_path / "mined")
    assert mined.features == world.mapped(name).features
    assert values(mined) == values(world.mapped(name))


@every_recipe
@pytest.mark.parametrize("size", [1, 10])
def test_part_size_changes_nothing(
    world: World, name: str, size: int, part_size: Callable[[int], None], tmp_path: Path
) -> None:
    """Parts of 1 or of 10 anchors instead of 4096."""
    part_size(size)
    assert values(world.mine(name, tmp_path / "mined")) == values(world.mapped(name))


@pytest.mark.parametrize("name", ["bm25", "dense", "robin"])
@pytest.mark.parametrize("with_features", [True, False])
def test_mine_on_a_stream_equals_map(world: World, name: str, with_features: bool, tmp_path: Path) -> None:
    """`mine` on an IterableDataset, with and without declared features, writes the Dataset's rows."""

    def rows() -> Iterator[dict[str, Any]]:
        yield from world.pairs.select_columns(["query", "answer"])

    features = Features({"query": Value("string"), "answer": Value("string")}) if with_features else None
    mined = world.mine(name, tmp_path / "mined", IterableDataset.from_generator(rows, features=features))
    assert values(mined) == values(world.mapped(name), mined.column_names)


def test_mine_in_two_processes_equals_map(world: World, tmp_path: Path) -> None:
    """devices=["cpu", "cpu"]: documents encoded, anchors searched and selected by spawned processes in small
    parts give every value of `.map`; each worker loads the model once, not for every part."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("some weights")
    dense = RECIPES["dense"]
    recipe = hfneg.Recipe(**{**dict(dense), "retrievers": [hfneg.Dense(tmp_path / "model")]})
    job = {"out": str(tmp_path / "mined"), "devices": ["cpu", "cpu"], "recipe": recipe.to_yaml(), "query_rows": 64}
    env = {**os.environ, "HFNEG_JOB": json.dumps(job), "HFNEG_STORE": str(tmp_path / "store")}
    done = subprocess.run([sys.executable, SUPPORT / "mine_in_parts.py"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line.split(" ", 2) for line in done.stdout.splitlines()]
    for stage, parts in (("encode/document", 4), ("search/0", 4), ("choose", 8)):
        who = [process for process, word, unit in lines if word == "begin" and unit.startswith(stage)]
        assert len(who) == parts, stage
        assert lines[-1][0] not in who, stage  # the parent, which says "done"
    loads = Counter(process for process, word, unit in lines if (word, unit) == ("load", "model"))
    assert max(loads.values()) == 1
    mined = load_dataset(job["out"], split="train")
    assert values(mined) == values(world.mapped("dense"))


# Types.


def test_user_columns_and_types_survive(world: World, tmp_path: Path) -> None:
    """ClassLabel, int8, nested and nullable columns come out of `.map` and of a mined folder as they went in."""
    world.mine("bm25", tmp_path / "mined")
    for mined in (world.mapped("bm25"), load_dataset(str(tmp_path / "mined"), split="train")):
        assert {name: mined.features[name] for name in FEATURES} == dict(FEATURES)
        assert values(mined, list(FEATURES)) == values(world.pairs)
        assert mined.column_names[: len(FEATURES)] == world.pairs.column_names


EMPTY_TYPES = {
    "hard_negatives": List(Value("string")),
    "hard_negative_ids": List(Value("string")),
    "hard_negative_scores": List(Value("float32")),
    "positive_scores": List(Value("float32")),
    "hard_negative_sources": List(Value("string")),
}


@pytest.mark.parametrize("way", ["map", "arrow", "stages", "stream", "mine"])
@pytest.mark.parametrize("retriever", [BM25, RANDOM])
def test_lists_that_are_all_empty_keep_their_types(way: str, retriever: Any, tmp_path: Path) -> None:
    """Where no anchor gets a negative the columns are still lists of texts and float32, and a later step works."""
    rows = Dataset.from_list([{"q": "slip", "a": ["fault slip", "slip wave"]}, {"q": "wave", "a": ["slip wave"]}])
    corpus = hfneg.Corpus.from_texts(["fault slip", "slip wave"])
    recipe = hfneg.Recipe(retrievers=[retriever], k=9, filters=[hfneg.RankWindow(skip=2)])
    anchors = hfneg.Anchors(rows, corpus, anchor="q", positive="a")
    one = recipe.transform(anchors)
    if way == "map":
        mined = rows.map(one, batched=True, batch_size=1)
    elif way == "arrow":
        mined = rows.with_format("arrow").map(one, batched=True)
    elif way == "stages":
        mined = rows.map(one.retrieve, batched=True).map(one.select, batched=True)
    elif way == "stream":
        stream = rows.to_iterable_dataset()
        mined = stream.map(one, batched=True, features=one.features(stream))
    else:
        mined = hfneg.mine(rows, corpus, recipe, anchor="q", positive="a", out=tmp_path / "mined")
    assert {name: mined.features[name] for name in EMPTY_TYPES} == EMPTY_TYPES
    again = rows.map(one, batched=True).map(lambda row: row) if way == "map" else mined
    assert [list(row["hard_negatives"]) for row in again.with_format(None)] == [[], []]


# The cache of `datasets`.


@every_recipe
def test_pickle_is_small_and_fixed(world: World, name: str) -> None:
    """Before and after its first use, and after a round trip, a transform pickles to the same few bytes, hence
    has the same fingerprint; the bytes name neither the store's folder nor hold an array."""
    fresh = world.transform(name)
    before = pickle.dumps(fresh), Hasher.hash(fresh)
    world.pairs.select(range(9)).map(fresh, batched=True, load_from_cache_file=False)
    assert (pickle.dumps(fresh), Hasher.hash(fresh)) == before
    assert Hasher.hash(pickle.loads(before[0])) == before[1]
    assert len(before[0]) < 3_000
    assert os.environ["HFNEG_STORE"].encode() not in before[0]
    assert b"numpy" not in before[0]
    assert b"pyarrow" not in before[0]


def test_encoder_of_another_similarity_is_another_one(world: World) -> None:
    """An encoder with the same id that says "dot" instead of "cosine" shares neither fingerprint nor vectors."""

    class Dot(HashEncoder):
        similarity_fn_name = "dot"

    cosine, dot = (hfneg.Recipe(retrievers=[hfneg.Dense(e)], k=7).transform(world.anchors) for e in (ENCODER, Dot()))
    assert Hasher.hash(cosine) != Hasher.hash(dot)
    scores = [max(world.pairs.map(each, batched=True)[0]["hard_negative_scores"]) for each in (cosine, dot)]
    assert scores[0] <= 1 < scores[1]


def test_fingerprints_differ_where_anything_differs(world: World) -> None:
    """Another k, filter setting, seed, fusion, guard, order of sources or corpus is another fingerprint."""
    recipe = RECIPES["rrf"]
    changed = [
        recipe,
        recipe.with_settings(["k=41"]),
        recipe.with_settings(["filters.margin.absolute=0.02"]),
        recipe.with_settings(["filters.margin.by=bm25"]),
        recipe.with_settings(["sampler=TakeRandom(7)"]),
        recipe.with_settings(["sampler=TakeRandom(7, seed=1)"]),
        recipe.with_settings(["fusion.k=11"]),
        recipe.with_settings(["guard.near_duplicate=0.8"]),
        recipe.with_settings(["retrievers.random.seed=4"]),
        recipe.with_settings(["retrievers.bm25.k1=0.9"]),
        hfneg.Recipe(**{**dict(recipe), "retrievers": recipe.retrievers[::-1]}),
    ]
    corpus = hfneg.Corpus.from_texts([*documents(), "one more"])
    other = hfneg.Anchors(world.pairs, corpus, anchor="query", positive="answer")
    transforms = [*(each.transform(world.anchors) for each in changed), recipe.transform(other)]
    transforms += [recipe.transform(world.anchors, keep_candidates=True)]
    assert len({Hasher.hash(each) for each in transforms}) == len(transforms)


def _map_in_new_process(pairs_file: Path, hash_seed: str, settings: list[list[str]]) -> list[dict[str, Any]]:
    command = [sys.executable, HERE / "map_and_say.py", pairs_file, json.dumps(settings)]
    env = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def test_second_process_hits_the_cache_and_changes_miss_it(world: World, tmp_path: Path) -> None:
    """In a second process with another hash seed the same `.map` reads the first one's cache file and calls the
    transform not once; a changed k, filter, seed or corpus runs it again."""
    world.pairs.to_parquet(tmp_path / "pairs.parquet")
    same: list[str] = []
    (first,) = _map_in_new_process(tmp_path / "pairs.parquet", "0", [same])
    assert first["calls"] > 0
    changes = [["k=41"], ["filters.margin.absolute=0.02"], ["sampler=TakeRandom(7, seed=1)"], ["corpus"]]
    second, *others = _map_in_new_process(tmp_path / "pairs.parquet", "123", [same, *changes])
    assert second["calls"] == 0
    assert (second["files"], second["hash"]) == (first["files"], first["hash"])
    for change, other in zip(changes, others, strict=True):
        assert other["calls"] > 0, change
        assert other["files"] != first["files"]
    assert first["hash"] == Hasher.hash(world.transform("rrf"))


def test_changed_checkpoint_misses_the_cache(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SentenceTransformer saved to the same folder with one weight changed: another fingerprint, another cache
    file, other scores; the unchanged one hits."""
    calls = []
    run = Transform.__call__
    monkeypatch.setattr(Transform, "__call__", lambda self, batch: calls.append(1) or run(self, batch))
    world.pairs.to_parquet(tmp_path / "pairs.parquet")
    rows = load_dataset("parquet", data_files=str(tmp_path / "pairs.parquet"), split="train")
    model = _tiny_model()
    model.save_pretrained(str(tmp_path / "model"))

    def mapped() -> Dataset:
        recipe = hfneg.Recipe(retrievers=[hfneg.Dense(tmp_path / "model")], k=10)
        return rows.map(recipe.transform(world.anchors), batched=True)

    first = mapped()
    done = len(calls)
    again = mapped()
    assert done > 0
    assert len(calls) == done
    assert again.cache_files == first.cache_files
    model[0].embedding.weight.data[5, 0] += 1.0
    model.save_pretrained(str(tmp_path / "model"))
    changed = mapped()
    assert len(calls) > done
    assert changed.cache_files != first.cache_files
    assert ours(changed) != ours(first)


def _tiny_model() -> Any:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = sorted({word for text in documents() for word in text.split()})
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    weights = np.random.default_rng(0).normal(size=(len(words) + 1, 6)).astype(np.float32)
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu")
