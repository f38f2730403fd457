"""`hfneg.mine`: what it takes, what it leaves in the folder, and that its counts are true."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict, Features, IterableDataset, IterableDatasetDict, Value, load_dataset
from places import SUPPORT
from small_collection import FEATURES, documents, ours, pairs, values

import hfneg
from hfneg.base.hashing import normal_form

RECIPE = hfneg.Recipe(
    retrievers=[hfneg.BM25(), hfneg.RandomDocuments()],
    k=20,
    filters=[hfneg.RankWindow(skip=1), hfneg.Margin(relative=0.05, by="bm25", against="max")],
    sampler=hfneg.TakeTop(4),
)
NAMES = {"anchor": "query", "positive": "answer"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mined folder of the small collection."""
    out = tmp_path_factory.mktemp("out") / "mined"
    hfneg.mine(pairs(), documents(), RECIPE, out=out, hidden="relevant", **NAMES)
    return out


@pytest.fixture(scope="module")
def mined(folder: Path) -> Dataset:
    return load_dataset(str(folder), split="train")


@pytest.fixture(scope="module")
def ledger(folder: Path) -> Dataset:
    return load_dataset(str(folder), "ledger", split="anchors")


@pytest.fixture(scope="module")
def summary(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return read


@pytest.fixture(scope="module")
def corpus() -> hfneg.Corpus:
    """The corpus as mining sees it: with the missing positive behind it."""
    return hfneg.Anchors(pairs(), hfneg.Corpus.from_texts(documents()), **NAMES).corpus


# The folder.


def test_layout(folder: Path) -> None:
    """Exactly data/, ledger/, recipe.yaml, README.md, checksums, and two files of numbers; no work area is left."""
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == [
        "README.md",
        "checksums.json",
        "data/train-00000-of-00001.parquet",
        "ledger/anchors-00000-of-00001.parquet",
        "recipe.yaml",
        "statistics.json",
        "summary.json",
    ]


def test_recipe_loads_back(folder: Path) -> None:
    """recipe.yaml is the recipe that was given."""
    assert hfneg.Recipe.load(folder / "recipe.yaml") == RECIPE


def test_both_configs_load(folder: Path, mined: Dataset, ledger: Dataset) -> None:
    """`load_dataset(folder)` gives the rows, one to one with the pairs; "ledger" one row per unique anchor."""
    assert load_dataset(str(folder)).keys() == {"train"}
    given = pairs()
    assert values(mined, given.column_names) == values(given)
    assert len(ledger) == len({normal_form(query) for query in given["query"]})


def test_summary_adds_up(mined: Dataset, ledger: Dataset, summary: dict[str, Any], corpus: hfneg.Corpus) -> None:
    """Every count in summary.json follows from the ledger and the rows."""
    names = {int(code): name for code, name in summary["verdict_codes"].items()}
    verdicts = Counter(names[code] for row in ledger["verdicts"] for code in row)
    assert {name: count for name, count in summary["verdicts"].items() if count} == dict(verdicts)
    assert summary["candidates"] == sum(map(len, ledger["rows"])) == sum(verdicts.values())
    per_anchor = [row.count(0) for row in ledger["verdicts"]]
    assert summary["negatives"] == sum(per_anchor) == verdicts["selected"]
    assert summary["negatives_per_anchor"] == {str(n): count for n, count in sorted(Counter(per_anchor).items())}
    assert summary["anchors"] == len(ledger)
    assert summary["rows"] == {"train": len(mined)}
    assert (summary["documents"], summary["added_positives"]) == (len(corpus), 1)
    assert summary["columns"] == NAMES
    assert summary["recipe"] == RECIPE.to_yaml()
    for name in ("known_positive", "selected", "spare", "rank_window", "margin"):
        assert verdicts[name] > 0, name


def test_rows_agree_with_the_ledger(mined: Dataset, ledger: Dataset, corpus: hfneg.Corpus) -> None:
    """A row's negatives are its anchor's selected candidates, in rank order: ids, texts, scores and sources."""
    entries = {normal_form(entry["anchor"]): entry for entry in ledger}
    for row in mined:
        entry = entries[normal_form(row["query"])]
        chosen = [i for i, code in enumerate(entry["verdicts"]) if code == 0]
        rows = [entry["rows"][i] for i in chosen]
        assert row["hard_negative_ids"] == corpus.ids(rows)
        assert row["hard_negatives"] == corpus.texts(rows).to_pylist()
        assert row["hard_negative_scores"] == [entry["scores"][i] for i in chosen]
        words = {1: "bm25", 2: "random", 3: "bm25+random"}
        assert row["hard_negative_sources"] == [words[entry["sources"][i]] for i in chosen]
        own = entry["positive_rows"].index(int(corpus.rows_of_texts([row["answer"]])[0]))
        assert row["positive_scores"] == [entry["positive_scores"][own]]


def test_verdicts_are_right(ledger: Dataset, summary: dict[str, Any], corpus: hfneg.Corpus) -> None:
    """Each candidate has one verdict: known_positive for exactly the known positives that were found, own_text
    only for the anchor's text, rank_window only for the first rank, margin only above the limit."""
    names = {int(code): name for code, name in summary["verdict_codes"].items()}
    known: dict[str, set[str]] = {}
    for row in pairs():
        known.setdefault(normal_form(row["query"]), set()).add(row["answer"])
    for entry in ledger:
        texts = corpus.texts(entry["rows"]).to_pylist()
        verdicts = [names[code] for code in entry["verdicts"]]
        assert len(verdicts) == len(texts) == len(set(texts)) == len(entry["scores"]) == len(entry["sources"])
        assert entry["scores"] == sorted(entry["scores"], reverse=True)
        positives = known[normal_form(entry["anchor"])]
        assert set(corpus.texts(entry["positive_rows"]).to_pylist()) == positives
        for rank, (text, verdict) in enumerate(zip(texts, verdicts, strict=True), 1):
            assert (verdict == "known_positive") == (text in positives)
            if verdict == "own_text":
                assert normal_form(text) == normal_form(entry["anchor"])
            if verdict == "rank_window":
                assert rank == 1
            if verdict in ("selected", "spare"):
                assert rank > 1
                assert normal_form(text) not in {normal_form(other) for other in (*positives, entry["anchor"])}


def test_ledger_ranks_are_those_of_the_sources(ledger: Dataset) -> None:
    """Ranks per source run from 1 without a gap, scores fall along them, and the mask says who has a rank."""
    for entry in ledger:
        for bit, source in enumerate(("bm25", "random")):
            found = sorted(
                (rank, score)
                for rank, score in zip(entry[f"{source}_ranks"], entry[f"{source}_scores"], strict=True)
                if rank
            )
            assert [rank for rank, _ in found] == list(range(1, len(found) + 1))
            assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
            for rank, mask in zip(entry[f"{source}_ranks"], entry["sources"], strict=True):
                assert bool(rank) == bool(mask >> bit & 1)


def _count_hidden(mined: Dataset, texts_of_ids: dict[str, str]) -> dict[str, Any]:
    """By Python sets: a negative is a hidden positive where its text is that of a hidden id, or a hidden text."""
    found = negatives = hidden = 0
    for row in mined:
        values = row["relevant"] or []
        relevant = {texts_of_ids.get(value, value) for value in values}
        negatives += len(row["hard_negatives"])
        hidden += len(values)
        found += sum(text in relevant for text in row["hard_negatives"])
    return {"negatives": negatives, "hidden_found": found, "hidden": hidden}


def test_hidden_positives_are_counted(mined: Dataset, summary: dict[str, Any]) -> None:
    """The counts of hidden= equal a plain Python count over the rows."""
    texts = {str(i): text for i, text in enumerate(documents())}
    expected = _count_hidden(mined, texts)
    assert expected["hidden"] > 50
    counted = summary["hidden_positives"]
    assert {name: counted[name] for name in expected} == expected
    assert counted["share_of_negatives"] == round(expected["hidden_found"] / expected["negatives"], 6)


def test_hidden_positives_of_every_kind(tmp_path: Path) -> None:
    """Found: a hidden id, a hidden text, a number 0. Not found: an unknown value, even where the row before has the
    last document of the corpus as a negative; another row's hidden document."""
    corpus = Dataset.from_dict({"text": ["rock slip", "rock wave", "rock melt", "rock slab"], "id": [0, 1, 2, 3]})
    for column, expected in (
        ([["rock wave"], ["rock slip"], ["rock slip", "rock wave"]], 1 + 1 + 2),
        ([[0, 1, 9], [7], [0]], 1 + 0 + 1),  # 0 is the positive of row 0
        ([None, [8], [3]], 0),
        ([0, 0, 0], 0 + 1 + 1),
    ):
        positives = ["rock slip", "rock wave", "rock slab"]
        rows = Dataset.from_dict({"q": ["rock one", "rock two", "rock three"], "p": positives, "also": column})
        out = tmp_path / f"mined{len(list(tmp_path.iterdir()))}"
        recipe = hfneg.Recipe(k=3, sampler=hfneg.TakeTop(3))
        hfneg.mine(rows, corpus, recipe, out=out, anchor="q", positive="p", hidden="also")
        counted = json.loads((out / "summary.json").read_text())["hidden_positives"]
        assert (counted["negatives"], counted["hidden_found"]) == (9, expected)


# What it takes.


def test_corpus_in_every_form_gives_the_same(tmp_path: Path) -> None:
    """A list of texts, a Dataset of them and a Corpus are one corpus."""
    texts = documents()
    forms = [texts, Dataset.from_dict({"text": texts}), hfneg.Corpus.from_texts(texts)]
    results = [hfneg.mine(pairs(), form, RECIPE, out=tmp_path / f"mined{i}", **NAMES) for i, form in enumerate(forms)]
    assert values(results[0]) == values(results[1]) == values(results[2])


def test_without_a_corpus_the_positives_are_mined(tmp_path: Path) -> None:
    """corpus=None: every negative is another anchor's positive, and never one of its own."""
    rows = pairs()
    mined = hfneg.mine(rows, None, hfneg.Recipe(k=10), out=tmp_path / "mined", **NAMES)
    known: dict[str, set[str]] = {}
    for row in rows:
        known.setdefault(normal_form(row["query"]), set()).add(row["answer"])
    assert sum(map(len, mined["hard_negatives"])) > len(rows)
    for row in mined:
        assert set(row["hard_negatives"]) <= set(rows["answer"])
        assert not set(row["hard_negatives"]) & known[normal_form(row["query"])]


def _splits() -> DatasetDict:
    rows = pairs()
    return DatasetDict(train=rows.select(range(0, len(rows), 2)), test=rows.select(range(1, len(rows), 2)))


@pytest.mark.parametrize("streamed", [False, True])
def test_positives_of_one_split_are_never_mined_in_another(streamed: bool, tmp_path: Path) -> None:
    """No negative is a positive of the same anchor in any split - though without the test split it would be."""
    splits = _splits()
    given: Any = splits
    if streamed:
        given = IterableDatasetDict({name: split.to_iterable_dataset() for name, split in splits.items()})
    recipe = hfneg.Recipe(k=30, sampler=hfneg.TakeTop(30))
    mined = hfneg.mine(given, documents(), recipe, out=tmp_path / "both", **NAMES)
    alone = hfneg.mine(splits["train"], documents(), recipe, out=tmp_path / "alone", **NAMES)
    known: dict[str, set[str]] = {}
    for split in splits.values():
        for row in split:
            known.setdefault(normal_form(row["query"]), set()).add(row["answer"])

    def leaks(rows: Dataset) -> int:
        return sum(bool(set(row["hard_negatives"]) & known[normal_form(row["query"])]) for row in rows)

    assert leaks(alone) > 0
    assert leaks(mined["train"]) == leaks(mined["test"]) == 0
    assert isinstance(mined, DatasetDict)
    for name, split in splits.items():
        assert values(mined[name], split.column_names) == values(split)
    files = sorted(path.name for path in (tmp_path / "both" / "data").iterdir())
    assert files == ["test-00000-of-00001.parquet", "train-00000-of-00001.parquet"]


def test_stream_with_types_keeps_them(mined: Dataset, tmp_path: Path) -> None:
    """A stream with features gives the Dataset's folder: all columns and types, all values."""

    def rows() -> Iterator[dict[str, Any]]:
        yield from pairs()

    stream = IterableDataset.from_generator(rows, features=FEATURES)
    out = hfneg.mine(stream, documents(), RECIPE, out=tmp_path / "mined", **NAMES)
    assert dict(out.features) == dict(mined.features)
    assert values(out) == {name: values(mined)[name] for name in out.column_names}


def test_stream_whose_types_change_is_refused(tmp_path: Path) -> None:
    """A stream without features whose later rows do not fit the first ones' types: an error that says what to do."""

    def rows() -> Iterator[dict[str, Any]]:
        yield from ({"q": "rock", "a": "rock slip", "note": "text" if i == 1500 else None} for i in range(1600))

    names: dict[str, Any] = {"anchor": "q", "positive": "a", "missing": "add"}
    recipe = hfneg.Recipe(k=1, sampler=hfneg.TakeTop(1))
    stream = IterableDataset.from_generator(rows)
    with pytest.raises(hfneg.ColumnError, match=r"stream\.cast"):
        hfneg.mine(stream, ["rock wave"], recipe, out=tmp_path / "refused", **names)
    features = Features({name: Value("string") for name in ("q", "a", "note")})
    mined = hfneg.mine(stream.cast(features), ["rock wave"], recipe, out=tmp_path / "mined", **names)
    assert [i for i, note in enumerate(mined["note"]) if note] == [1500]


def test_beir_folder(tmp_path: Path) -> None:
    """A BEIR folder alone is enough: one row per anchor, the qrels' positives as a list, titles in the documents."""
    beir = tmp_path / "beir"
    (beir / "qrels").mkdir(parents=True)
    texts = documents()[:60]
    lines = [{"_id": f"d{i}", "title": f"Title {i}", "text": text} for i, text in enumerate(texts)]
    (beir / "corpus.jsonl").write_text("\n".join(map(json.dumps, lines)))
    queries = [{"_id": f"q{i}", "text": " ".join(texts[i].split()[:2])} for i in range(5)]
    (beir / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    judged = [("q0", "d0", 1), ("q0", "d7", 1), ("q1", "d1", 1), ("q2", "d2", 2), ("q3", "d3", 0), ("q4", "d4", 1)]
    (beir / "qrels" / "train.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"{q}\t{d}\t{score}\n" for q, d, score in judged)
    )
    mined = hfneg.mine(str(beir), recipe=hfneg.Recipe(k=8, sampler=hfneg.TakeTop(3)), out=tmp_path / "mined")
    assert mined["query_id"] == ["q0", "q1", "q2", "q4"]
    assert mined["positive_ids"] == [["d0", "d7"], ["d1"], ["d2"], ["d4"]]
    assert mined[0]["positive"] == [f"Title 0\n{texts[0]}", f"Title 7\n{texts[7]}"]
    for row in mined:
        assert 0 < len(row["hard_negatives"]) <= 3
        assert not set(row["hard_negative_ids"]) & set(row["positive_ids"])
        for name, text in zip(row["hard_negative_ids"], row["hard_negatives"], strict=True):
            assert text == f"Title {name[1:]}\n{texts[int(name[1:])]}"


def test_mined_rows_are_mined_again_only_when_asked(mined: Dataset, tmp_path: Path) -> None:
    """Rows that carry negatives are refused; remine=True replaces them by what a first mining gives."""
    other = hfneg.Recipe(k=12, sampler=hfneg.TakeRandom(2, seed=4))
    with pytest.raises(hfneg.ColumnError, match="remine=True"):
        hfneg.mine(mined, documents(), other, out=tmp_path / "refused", **NAMES)
    assert not (tmp_path / "refused").exists()
    again = hfneg.mine(mined, documents(), other, out=tmp_path / "again", remine=True, **NAMES)
    first = hfneg.mine(pairs(), documents(), other, out=tmp_path / "first", **NAMES)
    assert values(again) == values(first)
    assert again.features == first.features
    assert ours(again) != ours(mined)


def test_shards(mined: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large results come in several shards, whose rows follow each other in the order of the pairs."""
    monkeypatch.setattr("hfneg.runs.folder.rows.SHARD_BYTES", 5_000)
    out = hfneg.mine(pairs(), documents(), RECIPE, out=tmp_path / "mined", hidden="relevant", **NAMES)
    assert len(list((tmp_path / "mined" / "data").iterdir())) > 2
    assert values(out) == values(mined)
    assert json.loads((tmp_path / "mined" / "summary.json").read_text())["hidden_positives"]["hidden"] > 50


# Progress.

BARS = """
import sys, datasets, hfneg
from small_collection import documents, pairs
if sys.argv[2] == "off":
    datasets.disable_progress_bars()
recipe = hfneg.Recipe(retrievers=[hfneg.BM25(), hfneg.RandomDocuments()], k=8)
hfneg.mine(pairs(), [*documents(), "a positive that is in no corpus"], recipe, anchor="query", positive="answer",
           out=sys.argv[1])
"""


@pytest.mark.parametrize("bars", ["on", "off"])
def test_one_progress_bar_per_stage(bars: str, tmp_path: Path) -> None:
    """stderr of a process: a bar for the index, each source's search, the selection, the rows and the statistics,
    each once and to the end; under `datasets.disable_progress_bars()` nothing at all."""
    env = {name: value for name, value in os.environ.items() if "DISABLE_PROGRESS_BARS" not in name}
    env |= {"PYTHONPATH": str(SUPPORT), "HFNEG_STORE": str(tmp_path / "store")}
    done = subprocess.run(
        [sys.executable, "-c", BARS, str(tmp_path / "mined"), bars], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    if bars == "off":
        assert done.stderr == ""
        return
    drawn = re.findall(r"([A-Z][\w ]+(?: \(\d of \d\))?):\s+(\d+)%", done.stderr)
    numbered = ["Searching bm25 (1 of 4)", "Searching random (2 of 4)", "Selecting (3 of 4)", "Writing rows (4 of 4)"]
    stages = ["BM25 index", *numbered, "Reading the ledger"]
    assert list(dict.fromkeys(name for name, _ in drawn)) == stages
    assert Counter(name for name, share in drawn if share == "0") == dict.fromkeys(stages, 1)
    assert {name for name, share in drawn if share == "100"} == set(stages)


TAUGHT = """
import sys, hfneg, hfneg.runs.bars
from small_collection import documents, pairs
from word_teacher import WordTeacher
hfneg.runs.bars.REDRAWN_SECONDS = 0
recipe = hfneg.Recipe(k=8, deeper=20, teacher=WordTeacher(), filters=[hfneg.Margin(relative=0.3)])
hfneg.mine(pairs(), [*documents(), "a positive that is in no corpus"], recipe, anchor="query", positive="answer",
           out=sys.argv[1])
"""


def test_the_bar_of_a_teacher_tells_pairs(tmp_path: Path) -> None:
    """Behind the anchors stand the pairs that were scored, none of them twice; a deeper search has its own stages."""
    env = {name: value for name, value in os.environ.items() if "DISABLE_PROGRESS_BARS" not in name}
    env |= {"PYTHONPATH": str(SUPPORT), "HFNEG_STORE": str(tmp_path / "store")}
    done = subprocess.run(
        [sys.executable, "-c", TAUGHT, str(tmp_path / "mined")], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    drawn = dict.fromkeys(re.findall(r"([A-Z][\w ]+) \((\d) of (\d)\)", done.stderr))
    stages = ["Searching bm25", "Examining", "Searching bm25 deeper", "Selecting", "Writing rows"]
    assert list(drawn) == [(stage, str(number + 1), "5") for number, stage in enumerate(stages)]
    asked = json.loads((tmp_path / "mined" / "summary.json").read_text())["teacher"]["pairs_asked"]
    told = {
        stage: int(pairs.replace(",", ""))
        for stage, pairs in re.findall(r"(Examining|Selecting) \(.*?([\d,]+) pairs scored\]", done.stderr)
    }
    assert set(told) == {"Examining", "Selecting"}
    assert sum(told.values()) == asked
