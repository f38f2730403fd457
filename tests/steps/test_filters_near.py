"""Filters that need no teacher: positives of near anchors, what is like a positive, copies of better candidates."""

from __future__ import annotations

import itertools
import json
import math
import pickle
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset, load_dataset
from near_oracle import jaccard, lengths_agree, variants
from scripted import Scripted, ranked, world
from small_collection import HashEncoder, documents, ours, pairs

import hfneg
from hfneg.base.lists import Lists, offsets
from hfneg.data import near_duplicates
from hfneg.models import cosines as similarity, neighbours as near_anchors, positive_pairs
from hfneg.models.encoder import Encoder
from hfneg.models.neighbours import NearAnchors
from hfneg.models.vectors import Vectors
from hfneg.pipeline.policy import Policy
from hfneg.pipeline.retrieve import Retrieve
from hfneg.steps.block.pool import Pool

names = (f"near-{i}" for i in itertools.count())


class Counting(HashEncoder):
    """A new model for each test, so that nothing of it is stored; counts the texts."""

    def __init__(self) -> None:
        self.id = next(names)
        self.encoded = 0

    def encode(self, texts: list[str]) -> Any:
        self.encoded += len(texts)
        return super().encode(texts)


class Same(Counting):
    """One vector for all texts."""

    def _vector(self, text: str) -> Any:
        return np.array([3.0, 4.0], dtype=np.float32)


class Nothing(Counting):
    """The zero vector for texts that begin with "z"."""

    similarity_fn_name = "dot"

    def _vector(self, text: str) -> Any:
        return super()._vector(text) * (text[0] != "z")


def cosine(a: Any, b: Any) -> float:
    """In plain Python."""
    a, b = a.tolist(), b.tolist()
    lengths = math.sqrt(math.fsum(x * x for x in a)) * math.sqrt(math.fsum(x * x for x in b))
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else 0.0


@pytest.fixture(scope="module")
def rows() -> Dataset:
    return pairs(90)


@pytest.fixture(scope="module")
def anchors(rows: Dataset) -> hfneg.Anchors:
    return hfneg.Anchors(rows, hfneg.Corpus.from_texts(documents()), anchor="query", positive="answer")


@pytest.fixture(scope="module")
def pool(anchors: hfneg.Anchors) -> Pool:
    retrieve = Retrieve(anchors, hfneg.RandomDocuments(seed=3), k=60)
    return Pool(anchors, retrieve.run(np.arange(len(anchors))))


def part_of(pool: Pool, numbers: Any) -> Pool:
    """The pool of some of its anchors."""
    retrieve = Retrieve(pool.anchors, hfneg.RandomDocuments(seed=3), k=60)
    return Pool(pool.anchors, retrieve.run(np.asarray(numbers)))


def by_anchor(pool: Pool, values: Any) -> list[list[Any]]:
    return [values[a:b].tolist() for a, b in pairwise(pool.block.indptr)]


def steps(encoder: Any) -> Iterator[hfneg.Filter]:
    yield hfneg.NearAnchorPositives(encoder, neighbours=3, similarity=0.9)
    yield hfneg.PositiveSimilarity(encoder, below=0.95)
    yield hfneg.PositiveSimilarity(encoder, quantile=0.5)
    yield hfneg.FirstOfDuplicates(0.5)


# What each keeps, in plain Python.


@pytest.mark.parametrize("neighbours", [1, 4, 500])
@pytest.mark.parametrize("similarity", [-1.0, 0.81, 0.93])
def test_positives_of_near_anchors(pool: Pool, neighbours: int, similarity: float) -> None:
    """Dropped are just the known positives of the nearest other anchors whose cosine is high enough."""
    anchors = pool.anchors
    vectors = Encoder(HashEncoder()).encode(anchors.texts(range(len(anchors))).to_pylist(), "query")
    expected = []
    for own in range(len(anchors)):
        cosines = {other: cosine(vectors[own], vectors[other]) for other in range(len(anchors)) if other != own}
        nearest = sorted(cosines, key=lambda other: (-round(cosines[other], 6), other))[:neighbours]
        assert not any(abs(value - similarity) < 1e-6 for value in cosines.values()), "too close to call"
        near_duplicates = [other for other in nearest if cosines[other] >= similarity]
        taken = {row for other in near_duplicates for row in anchors.positives_of(other).tolist()}
        expected.append([row not in taken for row in by_anchor(pool, pool.rows)[own]])
    kept = hfneg.NearAnchorPositives(HashEncoder(), neighbours, similarity).keep(pool)
    assert by_anchor(pool, kept) == expected
    assert similarity > 0.9 or not kept.all()


@pytest.mark.parametrize("encoder", [HashEncoder(), Nothing()])
@pytest.mark.parametrize("below", [0.85, 0.97])
def test_what_is_like_a_positive(pool: Pool, below: float, encoder: Any) -> None:
    """Kept is what has a lower cosine with every known positive of its anchor; a zero vector is like nothing."""
    vectors = encoder.encode(pool.corpus.texts(range(len(pool.corpus))).to_pylist())
    positives = [pool.anchors.positives_of(i).tolist() for i in range(len(pool.anchors))]
    highest = [
        [max(cosine(vectors[row], vectors[positive]) for positive in own) for row in candidates]
        for own, candidates in zip(positives, by_anchor(pool, pool.rows), strict=True)
    ]
    kept = hfneg.PositiveSimilarity(encoder, below=below).keep(pool)
    assert by_anchor(pool, kept) == [[value < below for value in values] for values in highest]
    assert 0 < kept.sum() < len(kept)


def test_the_quantile_is_that_of_known_co_positives(pool: Pool) -> None:
    """An anchor's p positives are compared in p - 1 pairs that join all of them; the limit is a quantile of these."""
    anchors, encoder = pool.anchors, Counting()
    left, right = positive_pairs.pairs_of(anchors)
    found = sorted(map(sorted, zip(left.tolist(), right.tolist(), strict=True)))
    assert len(found) == int((anchors.positives(np.arange(len(anchors))).lengths - 1).sum()) >= 20
    texts = pool.corpus.texts(range(len(pool.corpus))).to_pylist()
    for number in range(len(anchors)):
        own = anchors.positives_of(number).tolist()
        joined = {own[0]}
        for _ in own:
            joined |= {row for pair in found if set(pair) <= set(own) and set(pair) & joined for row in pair}
        assert joined == set(own)
    vectors = Encoder(encoder).encode(texts, "document")
    cosines = sorted(cosine(vectors[a], vectors[b]) for a, b in found)
    for quantile in (0.0, 0.3, 1.0):
        limit = positive_pairs.similarity_quantile(anchors, Encoder(encoder), quantile)
        assert limit == pytest.approx(cosines[int(quantile * (len(cosines) - 1))], abs=1e-6)
        by_quantile = hfneg.PositiveSimilarity(encoder, quantile=quantile).keep(pool)
        assert by_quantile.tolist() == hfneg.PositiveSimilarity(encoder, below=limit).keep(pool).tolist()


def test_many_co_positives_are_sampled_alike_in_any_blocks(anchors: hfneg.Anchors) -> None:
    """A sample is a part of all pairs and does not depend on how many anchors are looked at together."""
    whole = set(zip(*map(np.ndarray.tolist, positive_pairs.pairs_of(anchors)), strict=True))
    with mock.patch.object(positive_pairs, "MOST", 9):
        some = list(zip(*map(np.ndarray.tolist, positive_pairs.pairs_of(anchors)), strict=True))
        with mock.patch.object(positive_pairs, "BLOCK", 4):
            again = list(zip(*map(np.ndarray.tolist, positive_pairs.pairs_of(anchors)), strict=True))
    assert some == again
    assert len(some) == 9
    assert set(some) < whole


def copies(draw: random.Random) -> tuple[list[str], dict[str, list[int]]]:
    """Distinct texts, many of them near-duplicates, and lists of them."""
    texts = {text for _ in range(4) for text in variants(draw, 5)}
    texts = sorted(texts | {text.replace("a", "A") for text in texts})
    return texts, {f"anchor {i}": draw.sample(range(len(texts)), min(12, len(texts))) for i in range(5)}


@pytest.mark.parametrize("share", [0.5, 0.8, 0.9, 1.0])
def test_copies_of_better_ranked_candidates(share: float) -> None:
    """Dropped is just what is a near-duplicate of a candidate that ranks before it, whatever became of that one."""
    dropped = 0
    for seed in range(8):
        texts, lists = copies(random.Random(seed + int(100 * share)))
        anchors = world(texts, {text: [0] for text in lists})
        scores = {text: ranked({row: -place for place, row in enumerate(rows)}) for text, rows in lists.items()}
        pool = Pool(anchors, Retrieve(anchors, Scripted(scores), k=12).run(np.arange(len(anchors))))
        kept = by_anchor(pool, hfneg.FirstOfDuplicates(share).keep(pool))
        for rows, mask in zip(by_anchor(pool, pool.rows), kept, strict=True):
            own = [texts[row] for row in rows]
            before = [
                any(jaccard(text, one) >= share and lengths_agree(text, one) >= share for one in own[:i])
                for i, text in enumerate(own)
            ]
            assert mask == [not found for found in before]
            left = [text for text, keep in zip(own, mask, strict=True) if keep]
            assert not any(
                jaccard(a, b) >= share and lengths_agree(a, b) >= share for a, b in itertools.combinations(left, 2)
            )
            dropped += sum(before)
    assert dropped > 10


def test_a_deeper_search_changes_no_verdict_on_copies() -> None:
    """The first k of a list have the verdicts that they have in a longer list."""
    texts, lists = copies(random.Random(5))
    flat = Lists(offsets([len(rows) for rows in lists.values()]), np.array([*itertools.chain(*lists.values())]))
    lengths = np.array([len(texts[row].encode()) for row in flat.flat])

    def take(rows: Any) -> Any:
        return pa.array([texts[row] for row in rows], pa.large_string())

    deep = near_duplicates.near_earlier(take, lengths, flat, 0.8)
    assert deep.any()
    for k in range(1, 12):
        first = np.concatenate([np.arange(a, min(a + k, b)) for a, b in pairwise(flat.indptr)])
        short = Lists(offsets([min(k, n) for n in flat.lengths]), flat.flat[first])
        assert near_duplicates.near_earlier(take, lengths[first], short, 0.8).tolist() == deep[first].tolist()


# The same whatever the batch and the blocks.


def test_verdicts_do_not_depend_on_the_batch(pool: Pool) -> None:
    """Some anchors alone get the verdicts that they get among all: what is near is found over all anchors."""
    numbers = [7, 3, 30, 11]
    for step in steps(HashEncoder()):
        whole = by_anchor(pool, step.keep(pool))
        some = part_of(pool, numbers)
        assert by_anchor(some, step.keep(some)) == [whole[number] for number in numbers]
        assert not all(map(all, whole)), step


def test_verdicts_do_not_depend_on_blocks(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 8 anchors, blocks of 5, two vectors or a few texts at a time: equal."""
    wanted = [step.keep(pool).tolist() for step in steps(HashEncoder())]
    found = NearAnchors(pool.anchors, Encoder(HashEncoder()), 3).of(np.arange(len(pool.anchors)))
    for module, name, value in (
        (near_anchors, "PART", 8),
        (near_anchors, "BLOCK", 5),
        (similarity, "ROWS", 2),
        (similarity, "PAIRS", 2),
        (near_duplicates, "READ", 300),
        (near_duplicates, "PAIRS", 2),
        (positive_pairs, "BLOCK", 3),
    ):
        monkeypatch.setattr(module, name, value)
    assert [step.keep(pool).tolist() for step in steps(HashEncoder())] == wanted
    again = NearAnchors(pool.anchors, Encoder(HashEncoder()), 3).of(np.arange(len(pool.anchors)))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(found, again, strict=True))


def test_every_way_of_running_gives_equal_values(rows: Dataset, anchors: hfneg.Anchors, tmp_path: Path) -> None:
    """`.map` in batches of 1, 7 and all, a stream, and `mine`; the ledger and the card name the verdicts."""
    filters = list(steps(HashEncoder()))[::-1]
    recipe = hfneg.Recipe(retrievers=hfneg.RandomDocuments(seed=3), k=60, filters=filters, sampler=hfneg.TakeTop(60))
    mined = hfneg.mine(rows, anchors.corpus, recipe, anchor="query", positive="answer", out=tmp_path / "mined")
    wanted = ours(mined)
    for size in (1, 7, 1000):
        assert ours(rows.map(recipe.transform(anchors), batched=True, batch_size=size)) == wanted
    transform, stream = recipe.transform(anchors), rows.to_iterable_dataset()
    assert ours(stream.map(transform, batched=True, batch_size=9, features=transform.features(stream))) == wanted
    ledger = load_dataset(str(tmp_path / "mined"), "ledger", split="anchors", cache_dir=str(tmp_path / "cache"))
    summary = json.loads((tmp_path / "mined" / "summary.json").read_text())
    codes, counts = {name: int(code) for code, name in summary["verdict_codes"].items()}, summary["verdicts"]
    found = list(itertools.chain(*ledger["verdicts"]))
    card = (tmp_path / "mined" / "README.md").read_text()
    for step in filters:
        assert counts[step.verdict] == found.count(codes[step.verdict]) > 0
        assert f"| `{step.verdict}` | {counts[step.verdict]:,} |" in card
        assert f" {step.meaning} |" in card


# Cost.


def test_everything_is_encoded_once_and_near_anchors_are_found_once(pool: Pool) -> None:
    """Each anchor and each document once, for any number of batches, and for another similarity too."""
    encoder = Counting()
    for number in range(0, 12, 3):
        some = part_of(pool, [number, number + 1])
        hfneg.NearAnchorPositives(encoder).keep(some)
        hfneg.NearAnchorPositives(encoder, similarity=0.5).keep(some)
        assert encoder.encoded == len(pool.anchors)
    for number in range(3):
        hfneg.PositiveSimilarity(encoder, quantile=0.4).keep(part_of(pool, [number]))
    assert encoder.encoded == len(pool.anchors) + len(pool.corpus)
    with mock.patch.object(NearAnchors, "_search", side_effect=AssertionError("searched again")):
        hfneg.NearAnchorPositives(encoder, similarity=0.2).keep(pool)


def test_copies_leave_the_teacher_asked_on_demand(anchors: hfneg.Anchors) -> None:
    """It looks at several candidates, but not at the teacher: asked lazily, with the same outcome as in full."""
    filters = [hfneg.FirstOfDuplicates(0.6), hfneg.Margin(relative=0.3)]

    def judge(queries: list[str], texts: list[str]) -> list[float]:
        return [len({*query.lower().split()} & {*text.lower().split()}) for query, text in zip(queries, texts)]  # noqa: B905

    batch = pairs(90)[:]
    found = []
    for why in (None, "the test"):
        teacher = hfneg.FunctionTeacher(judge, id=next(names), scale="from_zero")
        recipe = hfneg.Recipe(retrievers=hfneg.BM25(), k=60, filters=filters, teacher=teacher, sampler=hfneg.TakeTop(3))
        transform = recipe.transform(anchors)
        assert transform.select.policy.why_not_lazy is None
        with mock.patch.object(Policy, "why_not_lazy", why):
            new = transform(batch)
        found.append([list(map(list, new[name])) for name in ("hard_negative_ids", "hard_negative_teacher_scores")])
    assert found[0] == found[1]


# Edges and bad settings.


def test_an_anchor_is_never_near_itself() -> None:
    """Also where more anchors than are asked for have its vector; and one anchor alone has no near one."""
    for count in (1, 2, 9):
        anchors = world([f"d{i}" for i in range(count)], {f"question {i}": [i] for i in range(count)})
        near_duplicates, cosines = NearAnchors(anchors, Encoder(Same()), 3).of(np.arange(count))
        assert near_duplicates.shape == cosines.shape == (count, min(3, count - 1))
        assert not (near_duplicates == np.arange(count)[:, None]).any()
        assert cosines.size == 0 or cosines.min() == 1.0


def test_no_candidates() -> None:
    """Anchors whose lists are empty pass through."""
    anchors = world(["one text", "another"], {"one": [0], "two": [1]})
    pool = Pool(anchors, Retrieve(anchors, Scripted({}), k=2).run(np.arange(2)))
    for step in (
        hfneg.NearAnchorPositives(Counting()),
        hfneg.PositiveSimilarity(Counting(), below=0.5),
        hfneg.FirstOfDuplicates(),
    ):
        assert step.keep(pool).shape == (0,)


def test_too_few_co_positives_are_refused_before_any_work() -> None:
    """The message says how many there are and what to do; nothing was encoded."""
    anchors = world(["one text", "another", "a third"], {"one": [0, 1], "two": [2]})
    encoder = Counting()
    recipe = hfneg.Recipe(filters=hfneg.PositiveSimilarity(encoder, quantile=0.5))
    with pytest.raises(hfneg.SettingError, match=r"have 1 pairs of known positives.*at least 20.*below="):
        recipe.transform(anchors)
    assert encoder.encoded == 0


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("NearAnchorPositives", {"neighbours": 0}, "neighbours=0"),
        ("NearAnchorPositives", {"neighbours": True}, "neighbours=True"),
        ("NearAnchorPositives", {"similarity": 1.5}, "similarity=1.5"),
        ("NearAnchorPositives", {"similarity": float("nan")}, "similarity=nan"),
        ("PositiveSimilarity", {}, "below=None"),
        ("PositiveSimilarity", {"below": 0.9, "quantile": 0.5}, "not both"),
        ("PositiveSimilarity", {"below": 2}, "below=2"),
        ("PositiveSimilarity", {"quantile": -0.1}, "quantile=-0.1"),
        ("NearAnchorPositives", {"batch_size": 0}, "batch_size=0"),
        ("PositiveSimilarity", {"below": 0.9, "max_seq_length": 0}, "max_seq_length=0"),
        ("OtherCluster", {"max_seq_length": True}, "max_seq_length=True"),
        ("OtherCluster", {"document_prompt": 3}, "document_prompt=3"),
        ("OtherCluster", {"revision": "main"}, "revision='main'"),
        ("FirstOfDuplicates", {"near_duplicate": 0.4}, "near_duplicate=0.4"),
        ("FirstOfDuplicates", {"near_duplicate": None}, "near_duplicate=None"),
    ],
)
def test_settings_are_checked_when_it_is_built(kind: str, settings: dict[str, Any], said: str) -> None:
    """A setting that makes no sense is refused with its value."""
    model = {} if kind == "FirstOfDuplicates" else {"model": HashEncoder()}
    with pytest.raises(hfneg.SettingError, match=said):
        getattr(hfneg, kind)(**model, **settings)


def test_they_are_recipe_text(tmp_path: Path) -> None:
    """Written and read back, each is the same step; with a model in memory the pickle is small and follows it."""
    texts = [
        "NearAnchorPositives(model='org/model', neighbours=5, similarity=0.7)",
        "PositiveSimilarity(model='org/model', below=None, quantile=0.25)",
        "FirstOfDuplicates(near_duplicate=0.8)",
        "NearAnchorPositives(model='org/model', revision='v2', query_prompt='q: ', neighbours=10, similarity=0.9)",
        "OtherCluster(model='org/model', document_prompt='d: ', max_seq_length=64, clusters=256, seed=0, batch_size=8)",
    ]
    recipe = hfneg.Recipe.from_yaml("filters:\n" + "\n".join(f'  - "{text}"' for text in texts))
    assert [repr(step) for step in recipe.filters] == texts
    assert hfneg.Recipe.from_yaml(recipe.to_yaml()) == recipe
    for kind in (hfneg.NearAnchorPositives, lambda model: hfneg.PositiveSimilarity(model, below=0.5)):
        encoder = Counting()
        assert repr(kind(encoder)) == repr(kind(encoder))
        assert f"model='{encoder.id}@" in repr(kind(encoder))
        one, other = pickle.dumps(kind(Counting())), pickle.dumps(kind(Counting()))
        assert len(one) < 1000
        assert one != other


def test_stored_vectors_are_shared_with_dense(anchors: hfneg.Anchors, pool: Pool) -> None:
    """What ``Dense(model)`` has encoded is not encoded again."""
    encoder = Counting()
    index = hfneg.Dense(encoder).open(anchors.corpus)
    index.vectors.build()
    index.query_vectors(anchors).build()
    before = encoder.encoded
    hfneg.NearAnchorPositives(encoder).keep(pool)
    hfneg.PositiveSimilarity(encoder, below=0.9).keep(pool)
    assert encoder.encoded == before
    assert isinstance(index.vectors, Vectors)


SAME = {"query_prompt": "ask: ", "document_prompt": "text: ", "max_seq_length": 7}


@pytest.mark.parametrize(
    ("kind", "prompt", "settings"),
    [
        (hfneg.NearAnchorPositives, "query_prompt", {}),
        (hfneg.PositiveSimilarity, "document_prompt", {"quantile": 0.5}),
        (hfneg.OtherCluster, "document_prompt", {"clusters": 4}),
    ],
)
def test_vectors_are_shared_with_a_dense_of_the_same_settings(
    anchors: hfneg.Anchors, pool: Pool, kind: Any, prompt: str, settings: dict[str, Any]
) -> None:
    """With its prompt and length nothing is encoded again; with other ones it is, and so it is when pickled."""
    encoder = Counting()
    index = hfneg.Dense(encoder, **SAME).open(anchors.corpus)
    index.vectors.build()
    index.query_vectors(anchors).build()
    before = encoder.encoded
    step = kind(encoder, **settings, **{name: SAME[name] for name in (prompt, "max_seq_length")}, batch_size=3)
    again = pickle.loads(pickle.dumps(step))
    assert (again, repr(again)) == (step, repr(step))
    kept = again.keep(pool)
    assert encoder.encoded == before
    assert kept.tolist() == step.keep(pool).tolist()
    kind(encoder, **settings).keep(pool)
    assert encoder.encoded > before


def test_what_is_not_said_leaves_text_and_pickle_as_they_were() -> None:
    """A step at its defaults does not mention how its model is asked, so that recipes of before are the same ones."""
    assert repr(hfneg.OtherCluster("org/model")) == "OtherCluster(model='org/model', clusters=256, seed=0)"
    known = {"model", "encoder", "version", "clusters", "seed"}
    assert set(hfneg.OtherCluster(HashEncoder()).__getstate__()) == known
    assert set(hfneg.OtherCluster(HashEncoder(), max_seq_length=7).__getstate__()) == known | {"max_seq_length"}
    dense = "Dense(model='org/model', query_prompt='q: ', max_seq_length=9, index='Flat', batch_size=8)"
    assert repr(eval(dense, {"Dense": hfneg.Dense})) == dense
