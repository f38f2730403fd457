"""`OtherCluster`: candidates of the positive's cluster go."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

import hfneg
from hfneg.models.clusters import cluster_labels

TOPICS = ("fault", "wave", "magma", "ice")


class ByTopic:
    """Vectors far apart by the first word, a little apart by the rest; counts its calls."""

    def __init__(self, name: str = "by-topic") -> None:
        self.id = name
        self.similarity_fn_name = "cosine"
        self.encoded = 0

    def encode(self, texts: list[str]) -> Any:
        self.encoded += len(texts)
        vectors = np.zeros((len(texts), 8), dtype=np.float32)
        for i, text in enumerate(texts):
            vectors[i, TOPICS.index(text.split()[0])] = 1.0
            vectors[i, 4:] = 0.05 * np.random.default_rng(len(text) + 31 * i % 7).standard_normal(4)
        return vectors


def world(encoder: ByTopic) -> tuple[Dataset, hfneg.Anchors]:
    documents = [f"{topic} number {i} says something" for i in range(12) for topic in TOPICS]
    corpus = hfneg.Corpus.from_texts(documents)
    rows = [
        {"q": f"{topic} question {i}", "a": f"{topic} number {i} says something"} for i in range(3) for topic in TOPICS
    ]
    rows.append({"q": "fault question 0", "a": "ice number 5 says something"})  # one anchor, positives in two clusters
    pairs = Dataset.from_list(rows)
    return pairs, hfneg.Anchors(pairs, corpus, anchor="q", positive="a")


def negatives(pairs: Dataset, anchors: hfneg.Anchors, step: Any, batch_size: int = 1000) -> list[list[str]]:
    recipe = hfneg.Recipe(retrievers=[hfneg.RandomDocuments(seed=1)], k=40, filters=[step], sampler=hfneg.TakeTop(40))
    mined = pairs.map(recipe.transform(anchors), batched=True, batch_size=batch_size)
    return list(mined["hard_negatives"])


def test_no_negative_is_of_the_cluster_of_any_positive() -> None:
    """Kept are just the candidates of other topics (which are the clusters) than all known positives of the anchor."""
    pairs, anchors = world(ByTopic("one"))
    found = negatives(pairs, anchors, hfneg.OtherCluster(ByTopic("one"), clusters=4))
    everything = negatives(pairs, anchors, hfneg.RankWindow())
    for row, kept, every in zip(pairs, found, everything, strict=True):
        topics = {row["a"].split()[0]} | ({"fault", "ice"} if row["q"] == "fault question 0" else set())
        assert kept == [text for text in every if text.split()[0] not in topics]
        assert len(kept) < len(every)


def test_dropped_candidates_are_called_same_cluster() -> None:
    """The ledger's verdict on what it drops is `same_cluster`."""
    pairs, anchors = world(ByTopic("two"))
    step = hfneg.OtherCluster(ByTopic("two"), clusters=4)
    recipe = hfneg.Recipe(retrievers=[hfneg.RandomDocuments()], k=40, filters=[step])
    transform = recipe.transform(anchors, keep_candidates=True)
    mined = pairs.map(transform, batched=True)
    names = transform.select.policy.verdict_names
    assert "same_cluster" in {names[code] for codes in mined["candidate_verdicts"] for code in codes}


def test_clusters_do_not_depend_on_batches_and_are_made_once() -> None:
    """Any batch size gives the same rows, and the corpus is encoded once."""
    encoder = ByTopic("three")
    pairs, anchors = world(encoder)
    step = hfneg.OtherCluster(encoder, clusters=4)
    first = negatives(pairs, anchors, step, batch_size=1)
    assert encoder.encoded == len(anchors.corpus)
    assert negatives(pairs, anchors, step, batch_size=5) == first
    assert encoder.encoded == len(anchors.corpus)


def test_labels_are_those_of_equal_settings_only() -> None:
    """Equal settings give equal labels; every document has one below the number of clusters."""
    encoder = ByTopic("four")
    _, anchors = world(encoder)
    step = hfneg.OtherCluster(encoder, clusters=5, seed=3)
    labels = cluster_labels(anchors.corpus, step.encoder, 5, 3)
    assert labels.shape == (len(anchors.corpus),)
    assert labels.min() >= 0
    assert labels.max() < 5
    assert np.array_equal(labels, cluster_labels(anchors.corpus, step.encoder, 5, 3))


def test_more_clusters_than_documents_are_refused() -> None:
    """The message says how many documents there are."""
    pairs, anchors = world(ByTopic("five"))
    with pytest.raises(hfneg.SettingError, match=r"clusters=500.*48 documents"):
        negatives(pairs, anchors, hfneg.OtherCluster(ByTopic("five"), clusters=500))


@pytest.mark.parametrize("setting", [{"clusters": 1}, {"clusters": 2.5}, {"clusters": True}, {"seed": -1}])
def test_settings_are_checked_when_it_is_built(setting: dict[str, Any]) -> None:
    """A setting that makes no sense is refused with its value."""
    with pytest.raises(hfneg.SettingError, match=str(next(iter(setting.values())))):
        hfneg.OtherCluster(ByTopic("six"), **setting)


def test_its_pickle_is_small_and_follows_the_model() -> None:
    """The pickle holds no vector and no label, and another model gives another one."""
    one, other = (pickle.dumps(hfneg.OtherCluster(ByTopic(name), clusters=4)) for name in ("seven", "eight"))
    assert len(one) < 1000
    assert one != other
