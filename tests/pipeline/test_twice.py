"""A filter and a retriever of one model: asked alike, all is encoded once; else a warning says what differs."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from datasets import Dataset
from small_collection import HashEncoder, documents, pairs

import hfneg

names = (f"twice-{i}" for i in itertools.count())


class Counting(HashEncoder):
    """A new model for each test; counts how often each text was encoded, prompts included."""

    def __init__(self) -> None:
        self.id = next(names)
        self.seen: Counter[str] = Counter()

    def encode(self, texts: list[str]) -> Any:
        self.seen.update(texts)
        return super().encode(texts)


@pytest.fixture(scope="module")
def rows() -> Dataset:
    return pairs(40)


@pytest.fixture(scope="module")
def anchors(rows: Dataset) -> hfneg.Anchors:
    return hfneg.Anchors(rows, hfneg.Corpus.from_texts(documents()), anchor="query", positive="answer")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "encoded twice" in record.getMessage()]


FILTERS = [
    (hfneg.NearAnchorPositives, {}, "query_prompt", "the anchors are"),
    (hfneg.PositiveSimilarity, {"below": 0.9}, "document_prompt", "the corpus is"),
    (hfneg.OtherCluster, {"clusters": 4}, "document_prompt", "the corpus is"),
]


@pytest.mark.parametrize(("kind", "settings", "prompt", "what"), FILTERS)
def test_a_filter_shares_the_vectors_of_dense_or_says_why_not(
    rows: Dataset,
    anchors: hfneg.Anchors,
    caplog: pytest.LogCaptureFixture,
    kind: Any,
    settings: dict[str, Any],
    prompt: str,
    what: str,
) -> None:
    """No text is encoded a second time with what the warning says to write; without it, all are, and it is said."""
    asked = {"query_prompt": "ask: ", "document_prompt": "text: ", "max_seq_length": 9}
    encoder = Counting()

    def mined(**said: Any) -> dict[str, int]:
        recipe = hfneg.Recipe(
            retrievers=[hfneg.Dense(encoder, **asked)], k=20, filters=[kind(encoder, **settings, **said)]
        )
        transform = recipe.transform(anchors)
        before, warned = sum(encoder.seen.values()), len(warnings(caplog))
        rows.map(transform, batched=True, batch_size=7)
        assert len(warnings(caplog)) == warned, "said when the work had begun"
        return sum(encoder.seen.values()) - before

    said = {prompt: asked[prompt], "max_seq_length": 9}
    assert mined(**said) == len(anchors.corpus) + len(anchors)
    assert all(text.startswith(("ask: ", "text: ")) for text in encoder.seen)
    assert warnings(caplog) == []
    assert mined() == (len(anchors) if prompt == "query_prompt" else len(anchors.corpus))
    (warning,) = warnings(caplog)
    assert warning == (
        f"{what} encoded twice: {kind.__name__} asks the model {encoder.id} with {prompt}=None, max_seq_length=None, "
        f"and Dense with {prompt}={asked[prompt]!r}, max_seq_length=9; to share the vectors of Dense, write "
        f"{kind.__name__}(..., {prompt}={asked[prompt]!r}, max_seq_length=9)"
    )


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (lambda one, other: [hfneg.OtherCluster(one, 4)], []),
        (lambda one, other: [hfneg.OtherCluster(one, 4, batch_size=1)], []),
        (lambda one, other: [hfneg.OtherCluster(other, 4, document_prompt="x")], []),
        (lambda one, other: [hfneg.OtherCluster(one, 4, document_prompt="x")], ["document_prompt='x', and Dense with"]),
        (lambda one, other: [hfneg.NearAnchorPositives(one, max_seq_length=5)], ["max_seq_length=5, and Dense with"]),
        (
            lambda one, other: [
                hfneg.OtherCluster(other, 4),
                hfneg.PositiveSimilarity(other, below=0.9, document_prompt="x"),
                hfneg.PositiveSimilarity(other, below=0.5, document_prompt="x"),
            ],
            ["document_prompt='x', and OtherCluster with document_prompt=None"],
        ),
    ],
)
def test_what_is_said_of_whom(
    anchors: hfneg.Anchors, caplog: pytest.LogCaptureFixture, filters: Any, expected: list[str]
) -> None:
    """Of the same model alone, also between two filters, and once for each that finds no vectors."""
    encoder = Counting()
    hfneg.Recipe(retrievers=[hfneg.Dense(encoder)], filters=filters(encoder, Counting())).transform(anchors)
    found = warnings(caplog)
    assert len(found) == len(expected)
    assert all(words in one for words, one in zip(expected, found, strict=True))


def test_two_revisions_of_a_model(
    anchors: hfneg.Anchors, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another commit under the same name is named, too."""
    monkeypatch.setattr("hfneg.models.held.hub_commit", lambda name, revision=None: {"v1": "1"}.get(revision, "0") * 40)
    monkeypatch.setattr("hfneg.models.weights.hub_commit", lambda name, revision=None: "0" * 40)
    monkeypatch.setattr("hfneg.models.encoder.refuse_but", lambda *given: None)
    one = hfneg.Dense("org/model", revision="v1")
    hfneg.Recipe(retrievers=[one], filters=[hfneg.OtherCluster("org/model", 4)]).transform(anchors)
    (said,) = warnings(caplog)
    assert "write OtherCluster(..., revision='v1')" in said
