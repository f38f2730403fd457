"""What an audit finds: planted flaws in every layout against plain Python, repair, judgments, the command."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
from places import SHARED
from small_collection import HashEncoder, documents, pairs
from typer.testing import CliRunner

import hfneg
from hfneg import cli
from hfneg.base.hashing import normal_form
from hfneg.data.files.beir import load_beir
from hfneg.data.layouts import Given, recognise
from hfneg.review.audit import AuditReport, audit, measures
from hfneg.review.intervals import share

DATA = SHARED / "data"
BASE = [
    "A fault slips when the stress on it exceeds the friction that holds it.",
    "In deep water a tsunami moves as fast as a jet, and is hardly seen.",
    "Basalt is a dark rock that makes the floor of the deep sea everywhere.",
    "A fault creeps where friction is low, without any earthquake at all.",
    "Ünder the crust lies the mantle, which flows slowly over long times.",
    "magma",
]
TEXTS = [
    *BASE,
    *(text.upper() for text in BASE[:3]),
    *(f"  {text}\n" for text in BASE[2:4]),
    BASE[0] + "!",
    BASE[1][:-2],
    f"{BASE[0]} {BASE[2]}",
]
NOTHING: list[str | None] = ["", "  \n", None]


class Row:
    """Anchor, positives, negatives, as a person would say them."""

    def __init__(self, anchor: str | None, positives: list[Any], negatives: list[Any]) -> None:
        self.anchor, self.positives, self.negatives = anchor, positives, negatives


def planted(seed: int, n: int = 60) -> list[Row]:
    """Rows of one positive and three negatives from so few texts that every flaw occurs."""
    draw = random.Random(seed)
    anchors = ["What makes a fault slip?", "what makes a FAULT slip? ", "How fast is a tsunami?", *BASE[3:]]
    rows = []
    for _ in range(n):
        anchor = draw.choice([*anchors, *anchors, None, " "])
        positive, *negatives = (draw.choice([*TEXTS, *TEXTS, *TEXTS, *NOTHING]) for _ in range(4))
        rows.append(Row(anchor, [positive], negatives))
    return [*rows, *rows[:3], Row("nobody answered this", [""], BASE[:3])]


# One writer per layout: (columns of the dataset, the rows that they mean).


def as_hfneg(rows: list[Row]) -> tuple[dict[str, Any], list[Row]]:
    columns = {
        "query": [row.anchor for row in rows],
        "answer": [row.positives[0] for row in rows],
        "page": list(range(len(rows))),
        "hard_negatives": [row.negatives for row in rows],
        "hard_negative_ids": [[f"{i}-{j}" for j in range(len(row.negatives))] for i, row in enumerate(rows)],
        "hard_negative_scores": [[1.0 / (j + 1) for j in range(len(row.negatives))] for row in rows],
        "positive_scores": [[2.0] for _ in rows],
    }
    return columns, rows


def as_triplets(rows: list[Row]) -> tuple[dict[str, Any], list[Row]]:
    one = [Row(row.anchor, row.positives, [negative]) for row in rows for negative in row.negatives]
    return {
        "anchor": [row.anchor for row in one],
        "positive": [row.positives[0] for row in one],
        "negative": [row.negatives[0] for row in one],
    }, one


def as_tuples(rows: list[Row]) -> tuple[dict[str, Any], list[Row]]:
    columns = {"question": [row.anchor for row in rows], "answer": [row.positives[0] for row in rows]}
    return columns | {f"negative_{i + 1}": [row.negatives[i] for row in rows] for i in range(3)}, rows


def as_lists(rows: list[Row]) -> tuple[dict[str, Any], list[Row]]:
    return {
        "anchor": [row.anchor for row in rows],
        "positives": [row.positives for row in rows],
        "negatives": [row.negatives for row in rows],
    }, rows


def as_flagembedding(rows: list[Row]) -> tuple[dict[str, Any], list[Row]]:
    return {
        "query": [row.anchor for row in rows],
        "pos": [row.positives for row in rows],
        "neg": [row.negatives for row in rows],
        "pos_scores": [[0.5] for _ in rows],
        "neg_scores": [[0.25] * len(row.negatives) for row in rows],
    }, rows


def as_tevatron(rows: list[Row]) -> tuple[dict[str, Any], list[Row]]:
    def passages(texts: list[Any]) -> list[dict[str, Any]]:
        return [{"docid": str(i), "title": "", "text": text} for i, text in enumerate(texts)]

    return {
        "query_id": [str(i) for i in range(len(rows))],
        "query": [row.anchor for row in rows],
        "positive_passages": [passages(row.positives) for row in rows],
        "negative_passages": [passages(row.negatives) for row in rows],
    }, rows


def as_listwise(rows: list[Row]) -> tuple[dict[str, Any], list[Row]]:
    """The positive stands among the negatives."""
    return {
        "query": [row.anchor for row in rows],
        "documents": [[row.negatives[0], *row.positives, *row.negatives[1:]] for row in rows],
        "labels": [[0, 1, *(0 for _ in row.negatives[1:])] for row in rows],
    }, rows


def as_labelled_pairs(rows: list[Row]) -> tuple[dict[str, Any], list[Row]]:
    one = [Row(row.anchor, [], [negative]) for row in rows for negative in row.negatives]
    one += [Row(row.anchor, row.positives, []) for row in rows]
    random.Random(0).shuffle(one)
    return {
        "sentence1": [row.anchor for row in one],
        "sentence2": [(row.positives or row.negatives)[0] for row in one],
        "label": [len(row.positives) for row in one],
    }, one


LAYOUTS: dict[str, Callable[[list[Row]], tuple[dict[str, Any], list[Row]]]] = {
    "hfneg": as_hfneg,
    "triplets": as_triplets,
    "tuples": as_tuples,
    "lists": as_lists,
    "flagembedding": as_flagembedding,
    "tevatron": as_tevatron,
    "listwise": as_listwise,
    "labelled_pairs": as_labelled_pairs,
}
every_layout = pytest.mark.parametrize("layout", LAYOUTS)


# The oracle: definitions in plain Python, every pair of texts compared.


def form(text: str | None) -> str:
    return normal_form(text or "")


def shingles(text: str) -> set[bytes]:
    data = normal_form(text).encode().ljust(8, b"\0")
    return {data[i : i + 8] for i in range(len(data) - 7)}


def near(left: str, right: str) -> bool:
    a, b = len(left.encode()), len(right.encode())
    x, y = shingles(left), shingles(right)
    return min(a, b) / max(a, b) >= 0.9 and len(x & y) / len(x | y) >= 0.9


def inside(left: str, right: str) -> bool:
    a, b = len(left.encode()), len(right.encode())
    x, y = shingles(left), shingles(right)
    smaller = min(len(x), len(y))
    return min(a, b) / max(a, b) < 0.9 and smaller >= 32 and len(x & y) / smaller >= 0.95


CHECKED = (
    "positive_as_negative",
    "near_positive",
    "contained",
    "anchor_as_negative",
    "empty_negative",
    "repeated_negative",
    "empty_text",
    "duplicate_rows",
    "anchor_as_positive",
    "no_positive",
)


def oracle(rows: list[Row]) -> dict[str, int]:
    """How often each check should find something."""
    known: dict[str, dict[str, str]] = {}
    for row in rows:
        if form(row.anchor):
            known.setdefault(form(row.anchor), {}).update({form(p): p for p in row.positives[::-1] if form(p)})
    seen: set[Any] = set()
    counts = dict.fromkeys(CHECKED, 0)
    for row in rows:
        anchor, positives = form(row.anchor), known.get(form(row.anchor), {})
        texts = [form(text) for text in row.negatives]
        for i, (raw, text) in enumerate(zip(row.negatives, texts, strict=True)):
            exact, own = text in positives, text == anchor
            counts["empty_negative"] += not text
            if not text:
                continue
            counts["positive_as_negative"] += exact
            counts["repeated_negative"] += text in texts[:i]
            fuzzy = bool(anchor) and not exact and not own
            almost = fuzzy and any(near(raw, p) for p in positives.values())
            counts["near_positive"] += almost
            counts["contained"] += fuzzy and not almost and any(inside(raw, p) for p in positives.values())
            counts["anchor_as_negative"] += own or (fuzzy and near(raw, row.anchor or ""))
        counts["empty_text"] += not anchor or not all(map(form, row.positives))
        counts["anchor_as_positive"] += any(form(p) and form(p) == anchor for p in row.positives)
        counts["no_positive"] += bool(anchor) and not positives
        key = (anchor, tuple(map(form, row.positives)), tuple(texts))
        counts["duplicate_rows"] += key in seen
        seen.add(key)
    return counts


def found(report: AuditReport, names: Any) -> dict[str, int]:
    return {name: report[name].count for name in names}


def plain(report: AuditReport) -> dict[str, Any]:
    return {name: value for name, value in report.to_dict().items() if name != "dataset"}


@pytest.mark.parametrize("seed", range(3))
@every_layout
def test_every_check_counts_what_plain_python_counts(layout: str, seed: int) -> None:
    """In each layout, recognised by itself, each check finds exactly the planted flaws."""
    columns, rows = LAYOUTS[layout](planted(seed))
    report = audit(datasets.Dataset.from_dict(columns))
    expected = oracle(rows)
    assert report.layout == layout
    assert found(report, expected) == expected
    assert (report.rows, report.negatives) == (len(rows), sum(len(row.negatives) for row in rows))
    assert sum(n * count for n, count in report.negatives_per_row.items()) == report.negatives


def test_the_planted_rows_have_every_flaw() -> None:
    """Otherwise the comparison above would prove nothing."""
    counted = [oracle(LAYOUTS[layout](planted(seed))[1]) for layout in LAYOUTS for seed in range(3)]
    for name in counted[0]:
        assert any(counts[name] for counts in counted), name


@every_layout
def test_a_stream_gives_the_same_report(layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream, in batches of seven rows, one that does not know its columns too: equal in every value."""
    ds = datasets.Dataset.from_dict(LAYOUTS[layout](planted(5))[0])
    expected = plain(audit(ds))
    monkeypatch.setattr("hfneg.review.audit.opening.BATCH", 7)
    assert plain(audit(ds)) == expected
    assert plain(audit(ds.to_iterable_dataset(num_shards=3))) == expected
    monkeypatch.setattr("hfneg.review.audit.opening.BATCH", 100)
    unknown = datasets.IterableDataset.from_generator(lambda: iter(ds.to_list()))
    assert unknown.features is None
    assert plain(audit(unknown)) == expected


def test_explicit_names_go_before_what_is_recognised() -> None:
    """Columns of any name, one list of negatives or several columns of them."""
    columns, rows = as_lists(planted(1))
    ds = datasets.Dataset.from_dict({"a": columns["anchor"], "b": columns["positives"], "c": columns["negatives"]})
    report = audit(ds, anchor="a", positive="b", negative="c")
    assert report.layout == "lists"
    assert found(report, oracle(rows)) == oracle(rows)
    columns, rows = as_tuples(planted(1))
    ds = datasets.Dataset.from_dict(dict(zip("vwxyz", columns.values(), strict=True)))
    report = audit(ds, anchor="v", positive="w", negative=["x", "y", "z"])
    assert report.layout == "tuples"
    assert found(report, oracle(rows)) == oracle(rows)


def test_titles_belong_to_passages() -> None:
    """A passage's text is title, newline, text, as everywhere in hfneg."""
    row = {
        "query": "q",
        "positive_passages": [{"docid": "1", "title": "Faults", "text": "They slip."}],
        "negative_passages": [{"docid": "2", "title": "", "text": "Faults\nThey slip."}],
    }
    assert audit(datasets.Dataset.from_list([row]))["positive_as_negative"].count == 1


# Scores


def test_scores_that_are_not_finite_or_too_few() -> None:
    """NaN and infinity, a list that is too short, and negatives above the best positive are counted."""
    columns, _ = as_hfneg([Row(f"anchor {i}", [f"positive {i}"], [f"n{i}a", f"n{i}b"]) for i in range(5)])
    columns["hard_negative_scores"] = [[1.0, math.nan], [math.inf, 1.0], [1.0], [3.0, 1.0], [1.0, 1.0]]
    columns["positive_scores"] = [[2.0], [2.0], [2.0], [2.0], [math.nan]]
    report = audit(datasets.Dataset.from_dict(columns))
    names = ("non_finite_scores", "non_finite_positive_scores", "misaligned_lists", "negative_above_positive")
    assert found(report, names) == dict(zip(names, (2, 1, 1, 2), strict=True))
    assert [example.row for example in report["non_finite_scores"].examples] == [0, 1]


def test_scores_of_other_tools() -> None:
    """FlagEmbedding's lists and the targets of MarginMSE (n + 1 scores, or n differences)."""
    flag = as_flagembedding([Row(f"a {i}", [f"p {i}"], [f"n{i}", f"m{i}"]) for i in range(3)])[0]
    flag["neg_scores"] = [[0.1, 0.2], [0.1, None], [0.1, 0.2, 0.3]]
    report = audit(datasets.Dataset.from_dict(flag))
    assert found(report, ("non_finite_scores", "misaligned_lists")) == {"non_finite_scores": 1, "misaligned_lists": 1}
    rows = as_tuples([Row(f"a {i}", [f"p {i}"], [f"x{i}", f"y{i}", f"z{i}"]) for i in range(4)])[0]
    rows["label"] = [[1.0, 0.1, math.nan, 0.3], [math.nan, 0.1, 0.2, 0.3], [0.1, 0.2, math.nan], [0.1]]
    report = audit(datasets.Dataset.from_dict(rows))
    names = ("non_finite_scores", "non_finite_positive_scores", "misaligned_lists")
    assert found(report, names) == dict(zip(names, (2, 1, 1), strict=True))


# Contamination, artefacts, examples


def test_contamination_by_a_test_set() -> None:
    """Test anchors among training anchors and positives, test positives among positives and negatives."""
    train = datasets.Dataset.from_list(
        [
            {"anchor": "SEEN in test", "positive": "p1", "negative": "n1"},
            {"anchor": "b", "positive": "seen  in test", "negative": "test positive"},
            {"anchor": "c", "positive": "Test positive", "negative": "n3"},
            {"anchor": "d", "positive": "p4", "negative": "n4"},
        ]
    )
    test = datasets.Dataset.from_dict({"query": ["seen in test", "new"], "answer": ["test positive", ""]})
    names = ("test_anchor", "test_positive", "test_negative")
    for given in (test, test.to_iterable_dataset(), datasets.DatasetDict({"test": test})):
        report = audit(train, against=given)
        assert found(report, names) == dict(zip(names, (2, 1, 1), strict=True))
        assert report.errors == ["test_anchor"]
    assert audit(train).ok


def test_a_beir_test_set(tmp_path: Path) -> None:
    """The qrels "test" of a BEIR folder are the test set."""
    folder = beir(tmp_path, {"q1": "seen", "q2": "other"}, {"d1": "doc one", "d2": "doc two"}, {"q1": ["d1"]}, "test")
    train = datasets.Dataset.from_list([{"anchor": "Seen", "positive": "x", "negative": "doc one"}])
    report = audit(train, against=folder)
    assert found(report, ("test_anchor", "test_negative")) == {"test_anchor": 1, "test_negative": 1}


def test_auc_is_the_probability_that_a_positive_is_above() -> None:
    """Against all pairs counted one by one, with ties; none where there is nothing to compare."""
    draw = np.random.default_rng(3)
    for _ in range(20):
        a, b = draw.integers(0, 9, size=draw.integers(1, 30)), draw.integers(0, 9, size=draw.integers(1, 30))
        expected = np.mean([(x > y) + (x == y) / 2 for x in a for y in b])
        assert measures.auc(a, b) == pytest.approx(expected, abs=1e-12)
    assert measures.auc(np.arange(0), np.arange(3)) is None


def artificial(positive: str, negative: Callable[[int], str], n: int = 200) -> AuditReport:
    rows = [{"anchor": f"a{i}", "positive": positive * (1 + i % 7) + str(i), "negative": negative(i)} for i in range(n)]
    return audit(datasets.Dataset.from_list(rows))


def test_artefacts_are_told() -> None:
    """Short negatives, hubs and negatives from elsewhere are warnings; few rows are told and not judged."""
    assert artificial("long text ", lambda i: f"{i}")["length_auc"].value == 1.0
    assert "length_auc" in artificial("long text ", lambda i: f"{i}").warnings
    assert "length_auc" not in artificial("text ", lambda i: "docs " * (1 + i % 7) + str(i)).warnings
    hubs = artificial("text ", lambda i: "always this" if i % 2 else f"other {i}")
    assert hubs["hub_share"].value == pytest.approx((100 + 1) / 200)  # 1% of 101 texts: two of them
    assert "hub_share" in hubs.warnings
    elsewhere = artificial("text ", lambda i: f"made up {i}")
    assert elsewhere["positive_pool_auc"].value == 1.0
    assert "positive_pool_auc" in elsewhere.warnings
    within = artificial("text ", lambda i: "text " * (1 + (i + 1) % 200 % 7) + str((i + 1) % 200))
    assert within["positive_pool_auc"].value == 0.5
    assert artificial("long text ", lambda i: f"{i}", n=20).warnings == []


def test_examples_show_where_to_look() -> None:
    """Five rows at most, the first ones, with anchor and text; long texts are cut."""
    rows = [{"anchor": f"a {i}", "positive": f"the text {i}", "negative": f"THE text {i}"} for i in range(9)]
    finding = audit(datasets.Dataset.from_list(rows))["positive_as_negative"]
    assert [(one.row, one.anchor, one.text) for one in finding.examples] == [
        (i, f"a {i}", f"THE text {i}") for i in range(5)
    ]
    assert (finding.count, finding.rows, finding.share) == (9, 9, 1.0)
    long = [{"anchor": "x" * 900, "positive": BASE[0] * 9, "negative": BASE[0] * 9 + "!"}]
    finding = audit(datasets.Dataset.from_list(long))["near_positive"]
    assert (len(finding.examples[0].anchor), len(finding.examples[0].text)) == (200, 200)


def test_the_public_flaw_is_found() -> None:
    """A public mined set had 7.5% of rows whose negative is identical to the positive (FACTS.md)."""
    rows = [{"query": f"q {i}", "answer": f"answer {i}", "negative": f"other {i}"} for i in range(1_000)]
    for i in range(75):
        rows[i * 13]["negative"] = rows[i * 13]["answer"]
    report = audit(datasets.Dataset.from_list(rows))
    finding = report["positive_as_negative"]
    assert (finding.rows, finding.share) == (75, 0.075)
    assert report.errors == ["positive_as_negative"]
    assert audit(datasets.Dataset.from_list(rows), max_rate=0.08).ok


def test_siblings_of_other_rows_and_near_duplicates_of_them() -> None:
    """A positive of another row of the anchor (spelt otherwise) counts, exactly and nearly."""
    rows = [
        {"anchor": "What is it?", "positive": BASE[0], "negative": "something else"},
        {"anchor": "what IS it? ", "positive": BASE[1], "negative": BASE[0].upper()},
        {"anchor": "What is it?", "positive": BASE[2], "negative": BASE[1] + "!"},
        {"anchor": "another", "positive": BASE[3], "negative": BASE[0]},
    ]
    report = audit(datasets.Dataset.from_list(rows))
    assert [example.row for example in report["positive_as_negative"].examples] == [1]
    assert [example.row for example in report["near_positive"].examples] == [2]
    assert audit(datasets.Dataset.from_list(rows), near_duplicate=None)["near_positive"].count == 0


def test_windows_that_hold_a_positive_are_found() -> None:
    """Chunks of one page: a negative around the positive, and one inside it, also of another row of the anchor; a
    name that stands in the negatives is no leak, nor is a page that quotes the question."""
    question = "How does a tsunami wave travel as it moves from deep water to the coast, and how fast?"
    rows = [
        {"anchor": question, "positive": BASE[0], "negative": f"{BASE[1]} {BASE[0]} {BASE[2]}"},
        {"anchor": question, "positive": BASE[1], "negative": BASE[0][20:]},
        {"anchor": "Which rock?", "positive": "basalt", "negative": BASE[3]},
        {"anchor": question, "positive": BASE[2], "negative": f"{question} {BASE[3]}"},
    ]
    report = audit(datasets.Dataset.from_list(rows))
    assert [example.row for example in report["contained"].examples] == [0, 1]
    assert report.errors == ["contained"]
    assert audit(datasets.Dataset.from_list(rows), contained=None).errors == []
    with pytest.raises(hfneg.SettingError, match=r"contained=0\.2"):
        audit(datasets.Dataset.from_list(rows), contained=0.2)


def test_audit_finds_what_was_mined_without_containment(tmp_path: Path) -> None:
    """A folder that was mined before the guard looked for it: `hfneg audit` names it and ends with 1, `--fix` writes
    a copy without; mined with the guard as it is now, the folder is clean."""
    passages = [f"{text} {text[::-1]}" for text in BASE[:5]]
    windows = [f"{a} {b}" for a, b in itertools.pairwise(passages)]
    pairs = [{"query": f"{text[:20]}?", "answer": text} for text in passages]
    names = {"anchor": "query", "positive": "answer"}
    for guard, code in ((hfneg.Guard(contained=None), 1), (hfneg.Guard(), 0)):
        recipe = hfneg.Recipe(k=10, guard=guard, sampler=hfneg.TakeTop(4))
        hfneg.mine(datasets.Dataset.from_list(pairs), passages + windows, recipe, out=tmp_path / str(code), **names)
        text = command(tmp_path / str(code), code=code)
        assert ("contained" in text) == (code == 1), text
    command(tmp_path / "1", "--fix", tmp_path / "fixed.parquet", code=1)
    assert audit(tmp_path / "fixed.parquet", anchor="query", positive="answer")["contained"].count == 0


# Repair


@pytest.mark.parametrize("stream", [False, True])
@every_layout
def test_a_repaired_copy_is_clean(layout: str, stream: bool, tmp_path: Path) -> None:
    """No error is left, nothing else is changed, and what was removed adds up."""
    columns, _ = LAYOUTS[layout](planted(2, 40))
    ds = datasets.Dataset.from_dict(columns | {"number": list(range(len(next(iter(columns.values())))))})
    given = ds.to_iterable_dataset(num_shards=2) if stream else ds
    report = audit(given, fix=tmp_path / "fixed.parquet")
    removed = report.removed
    assert removed is not None
    fixed = datasets.Dataset.from_parquet(str(tmp_path / "fixed.parquet"), cache_dir=str(tmp_path))
    again = audit(fixed)
    assert again.errors == []
    assert found(again, ["repeated_negative"]) == {"repeated_negative": 0}
    assert fixed.features == ds.features
    assert (again.rows, again.negatives) == (removed.rows_after, removed.negatives_after)
    assert 0 < again.rows < report.rows
    assert removed.rows_before - removed.rows_after == sum(removed.rows.values())
    check_subset(ds, fixed, layout)


def check_subset(ds: datasets.Dataset, fixed: datasets.Dataset, layout: str) -> None:
    """Rows are the user's; lists only lost elements, all lists of a row the same ones."""
    shorter = {"hfneg": "hard_negatives", "lists": "negatives", "flagembedding": "neg", "tevatron": "negative_passages"}
    lists = {"listwise": ["documents", "labels"]}.get(layout, [shorter.get(layout, "")])
    beside = {"hfneg": ["hard_negative_ids", "hard_negative_scores"], "flagembedding": ["neg_scores"]}.get(layout, [])
    for row in fixed:
        before = ds[row["number"]]
        for name in ds.column_names:
            if name not in (*lists, *beside):
                assert row[name] == before[name]
        if lists[0] in row:
            names = [*lists, *beside]
            old = list(zip(*(before[name] for name in names), strict=True))
            new = list(zip(*(row[name] for name in names), strict=True))
            places = iter(old)
            assert all(any(element == one for one in places) for element in new)


def test_a_repair_removes_exactly_what_was_found(tmp_path: Path) -> None:
    """By hand: which negatives and rows go, under which reason; bad scores and short lists too."""
    rows = as_hfneg([Row(f"a{i}", [f"positive {i}"], [f"n{i}x", f"n{i}y"]) for i in range(6)])[0]
    rows["hard_negatives"][0] = ["POSITIVE 0", "n0y"]
    rows["hard_negatives"][1] = ["positive 1", "a1"]
    rows["hard_negative_scores"][2] = [math.nan, 1.0]
    rows["hard_negative_scores"][3] = [1.0]
    rows["positive_scores"][4] = [math.inf]
    ds = datasets.Dataset.from_dict(rows)
    report = audit(ds, fix=tmp_path / "fixed.parquet")
    assert report.removed is not None
    assert report.removed.negatives == {"positive_as_negative": 2, "anchor_as_negative": 1, "non_finite_scores": 1}
    assert report.removed.rows == {"non_finite_positive_scores": 1, "misaligned_lists": 1, "without_negatives": 1}
    fixed = datasets.Dataset.from_parquet(str(tmp_path / "fixed.parquet"), cache_dir=str(tmp_path))
    assert fixed["page"][:] == [0, 2, 5]
    assert fixed["hard_negative_ids"][:] == [["0-1"], ["2-1"], ["5-0", "5-1"]]
    kept = audit(ds, fix=tmp_path / "kept.parquet", emptied="keep").removed
    assert kept is not None
    assert kept.rows == {"non_finite_positive_scores": 1, "misaligned_lists": 1}
    assert kept.rows_after == 4
    with pytest.raises(hfneg.OutputExistsError):
        audit(ds, fix=tmp_path / "kept.parquet")


def test_a_tuple_that_loses_a_negative_goes_whole(tmp_path: Path) -> None:
    """Trainers need every column filled; so does a triplet, and rows without them cannot be kept."""
    ds = datasets.Dataset.from_dict(as_tuples([Row("a", ["p"], ["x", "p", "z"]), Row("b", ["q"], ["x", "y", "z"])])[0])
    removed = audit(ds, fix=tmp_path / "fixed.parquet").removed
    assert removed is not None
    assert (removed.rows, removed.rows_after) == ({"without_negatives": 1}, 1)
    with pytest.raises(hfneg.SettingError, match="emptied='keep'"):
        audit(ds, fix=tmp_path / "other.parquet", emptied="keep")


# Judgments and hardness


def beir(
    tmp_path: Path,
    queries: dict[str, str],
    corpus: dict[str, str],
    relevant: dict[str, list[str]],
    split: str = "train",
) -> Path:
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    for name, texts in (("queries", queries), ("corpus", corpus)):
        lines = (json.dumps({"_id": key, "text": text}) for key, text in texts.items())
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    judged = "".join(f"{query}\t{document}\t1\n" for query, found in relevant.items() for document in found)
    (folder / "qrels" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
    return folder


JUDGED = datasets.Dataset.from_dict(
    {
        "query_id": ["q1", "q2", "q3"],
        "query": ["one", "two", "three"],
        "positive": ["first", "second", "third"],
        "hard_negatives": [["also first", "wrong"], ["wrong", "worse"], ["never judged", "also first"]],
        "hard_negative_ids": [["d4", "d5"], ["d5", "d6"], ["d7", "d4"]],
    }
)


def test_judgments_in_every_form_give_the_same_rate(tmp_path: Path) -> None:
    """A BEIR folder, its qrels file, a loose file with ids, mappings with ids, with texts and with grades."""
    texts = {"d1": "first", "d2": "second", "d3": "third", "d4": "Also  first", "d5": "wrong", "d6": "worse"}
    folder = beir(tmp_path, {"q1": "One", "q2": "two"}, texts, {"q1": ["d1", "d4"], "q2": ["d2"]})
    loose = tmp_path / "loose.tsv"
    loose.write_text("q1\td1\t1\nq1\td4\t2\nq1\td5\t0\nq2\td2\t1\n")
    ids = {"q1": {"d1": 1, "d4": 2, "d5": 0}, "q2": {"d2": 1}}
    named = {"one": ["first", "also first"], "TWO": ["second"]}
    for qrels in (folder, str(folder), folder / "qrels" / "train.tsv", loose, ids, named):
        rate = audit(JUDGED, qrels=qrels).false_negatives
        assert rate is not None
        assert (rate.relevant, rate.negatives, rate.rate) == (1, 4, 0.25)
        assert (rate.anchors, rate.unjudged_anchors) == (2, 1)
        assert 0.0 <= rate.low <= rate.rate <= rate.high <= 1.0
    limited = audit(JUDGED, qrels=named, max_false_negatives=0.2)
    assert limited.errors == ["false_negatives"]


@pytest.mark.parametrize("by", ["text", "id"])
def test_a_negative_that_is_judged_relevant_is_an_error_and_removed(by: str, tmp_path: Path) -> None:
    """A fact, whatever the share; `fix` removes it, and no row. `max_false_negatives` tolerates a rate."""
    texts, ids = {"one": ["also first"], "two": ["second"]}, {"q1": ["d4"], "q2": ["d2"]}
    qrels, out = texts if by == "text" else ids, tmp_path / "fixed.parquet"
    report = audit(JUDGED, qrels=qrels, fix=out)
    assert report.errors == ["false_negatives"]
    found = report["false_negatives"]
    assert (found.count, found.total, found.rows, found.severity, found.fixable) == (1, 6, 1, "error", True)
    assert [(example.row, example.text) for example in found.examples] == [(0, "also first")]
    assert report.removed is not None
    assert (report.removed.negatives, report.removed.rows) == ({"false_negatives": 1}, {})
    fixed = datasets.Dataset.from_parquet(str(out))
    assert fixed["hard_negatives"][:] == [["wrong"], ["wrong", "worse"], ["never judged", "also first"]]
    assert fixed["hard_negative_ids"][:] == [["d5"], ["d5", "d6"], ["d7", "d4"]]
    assert audit(fixed, qrels=qrels).ok
    assert audit(JUDGED, qrels=qrels, max_false_negatives=0.25).ok
    assert audit(JUDGED, qrels=qrels, max_rate=0.2).ok
    assert not audit(JUDGED, qrels=qrels, max_false_negatives=0.2, max_rate=0.5).ok


def test_the_command_ends_with_1_where_negatives_are_judged_relevant(tmp_path: Path) -> None:
    """And says how to have them removed; the repaired copy ends with 0."""
    given, judged, fixed = tmp_path / "given.parquet", tmp_path / "qrels.tsv", tmp_path / "fixed.parquet"
    JUDGED.to_parquet(str(given))
    judged.write_text("q1\td1\t1\nq1\td4\t1\nq2\td2\t1\nq2\td6\t1\n")
    said = command(given, "--qrels", judged, code=1)
    assert "errors: false_negatives; --fix FILE.parquet writes a copy without them" in said
    assert "negatives removed: false_negatives 2" in command(given, "--qrels", judged, "--fix", fixed, code=1)
    assert "3 of 3 rows" in command(given, "--qrels", judged, "--fix", fixed, "--overwrite", code=1)
    assert "no errors" in command(fixed, "--qrels", judged, code=0)


def test_judgments_by_ids_alone_that_find_no_relevant_negative(tmp_path: Path) -> None:
    """Nothing false is a rate of 0, as long as they know documents of the dataset; else they are of another one."""
    trec = tmp_path / "qrels.txt"
    trec.write_text("q1 0 d1 1\nq1 0 d6 0\nq2 0 d2 1\n")
    rate = audit(JUDGED, qrels=trec).false_negatives
    assert rate is not None
    assert (rate.relevant, rate.negatives, rate.rate, rate.positives_found) == (0, 4, 0.0, None)
    trec.write_text("q1 0 e1 1\nq2 0 e2 1\n")
    with pytest.raises(hfneg.InputError, match=r"know 2 of the anchors, but none of their 2 positives"):
        audit(JUDGED, qrels=trec)


def test_the_interval_is_over_anchors_that_share_no_positive() -> None:
    """As by `intervals.share` over components; one big component says less than as many anchors apart."""
    texts = [f"negative {i}" for i in range(40)]
    false = {f"q{i}": [texts[i]] for i in range(0, 40, 4)}

    def rate(shared: bool) -> Any:
        rows = [
            {"query": f"q{i}", "positive": "one for all" if shared else f"positive {i}", "negative": texts[i]}
            for i in range(40)
        ]
        judged = {f"q{i}": [rows[i]["positive"], *false.get(f"q{i}", [])] for i in range(40)}
        return audit(datasets.Dataset.from_list(rows), qrels=judged).false_negatives

    apart, together = rate(False), rate(True)
    assert (apart.relevant, apart.negatives, apart.rate) == (together.relevant, 40, together.rate) == (10, 40, 0.25)
    hits = np.arange(40) % 4 == 0
    assert (apart.low, apart.high) == pytest.approx(dataclasses.astuple(share(hits, np.arange(40)))[1:])
    assert (together.low, together.high) == pytest.approx(dataclasses.astuple(share(hits, np.zeros(40, int)))[1:])
    assert together.high - together.low > apart.high - apart.low


def test_hardness_is_the_mean_difference_over_what_is_not_relevant() -> None:
    """Against plain sums with the same encoder; without judgments over all negatives."""
    encoder = HashEncoder()

    def expected(skip: set[tuple[str, str]]) -> float:
        differences = []
        for row in JUDGED:
            if ("any", "any") in skip or row["query"] != "three":
                texts = [row["query"], row["positive"], *row["hard_negatives"]]
                vectors = encoder.encode(texts)
                anchor, positive, *negatives = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
                for text, vector in zip(row["hard_negatives"], negatives, strict=True):
                    if (row["query"], text) not in skip:
                        differences.append(float(anchor @ vector - anchor @ positive))
        return sum(differences) / len(differences)

    judged = audit(JUDGED, qrels={"one": ["also first"], "two": ["second"]}, reference=encoder).hardness
    assert judged is not None
    assert judged.mean == pytest.approx(expected({("one", "also first")}), abs=1e-6)
    assert (judged.negatives, judged.truth_known) == (3, True)
    assert judged.low <= judged.mean <= judged.high
    everything = audit(JUDGED.to_iterable_dataset(), reference=encoder).hardness
    assert everything is not None
    assert everything.mean == pytest.approx(expected({("any", "any")}), abs=1e-6)
    assert (everything.negatives, everything.truth_known) == (6, False)


# Bad input


def test_an_unknown_layout_lists_its_columns() -> None:
    """A dataset without negatives, a misspelt name, ids in place of texts, scores in place of labels: typed errors."""
    two = datasets.Dataset.from_dict({"anchor": ["a"], "positive": ["b"]})
    with pytest.raises(hfneg.ColumnError, match="the columns are 'anchor', 'positive'"):
        audit(two)
    triplet = datasets.Dataset.from_dict({"query": ["a"], "answer": ["b"], "negative": ["c"]})
    with pytest.raises(hfneg.ColumnError, match="Did you mean 'answer'"):
        audit(triplet, positive="anser")
    with pytest.raises(hfneg.ColumnError, match="holds numbers"):
        audit(triplet.add_column("number", [3]), negative="number")
    with pytest.raises(hfneg.ColumnError, match="holds ids"):
        audit(triplet.rename_column("answer", "answer_id"), positive="answer_id")
    with pytest.raises(hfneg.ColumnError, match="anchor and something else"):
        audit(triplet, anchor="query", positive="query", negative="negative")
    scored = datasets.Dataset.from_dict({"query": ["a"], "documents": [["b", "c"]], "labels": [[-3.5, 2.0]]})
    with pytest.raises(hfneg.ColumnError, match=r"-3\.5, which is no label"):
        audit(scored)


def test_what_cannot_be_audited() -> None:
    """Other objects, several splits, nothing at all, a stream that changes."""
    with pytest.raises(hfneg.InputError, match="cannot audit"):
        audit([{"anchor": "a"}])
    splits = datasets.DatasetDict({"train": JUDGED, "test": JUDGED})
    with pytest.raises(hfneg.InputError, match="train, test"):
        audit(splits)
    assert audit(splits, split="test").rows == 3
    with pytest.raises(hfneg.InputError, match="Did you mean 'train'"):
        audit(splits, split="trian")
    with pytest.raises(hfneg.EmptyInputError):
        audit(JUDGED.select([]))
    with pytest.raises(hfneg.EmptyInputError):
        audit(datasets.IterableDataset.from_generator(lambda: iter([])))
    rows = [{"anchor": f"a{i}", "positive": f"p{i}", "negative": f"n{i}"} for i in range(50)]
    changing = datasets.IterableDataset.from_generator(lambda: iter(random.sample(rows, 50)))
    with pytest.raises(hfneg.InputError, match="other rows"):
        audit(changing)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"near_duplicate": 0.2}, "near_duplicate=0.2"),
        ({"max_rate": 2}, "max_rate=2"),
        ({"max_false_negatives": 0.1}, "needs judgments"),
        ({"fix": "copy.jsonl"}, "parquet"),
        ({"fix": "copy.parquet", "emptied": "maybe"}, "emptied='maybe'"),
        ({"qrels": 7}, "cannot read judgments"),
        ({"qrels": {"nobody": ["x"]}}, "none of the anchors"),
        ({"qrels": {"one": ["Title\nfirst"]}}, "another way"),
        ({"reference": 3}, "model is a int"),
        (
            {
                "against": JUDGED.rename_column("query", "x")
                .rename_column("positive", "y")
                .add_column("z", ["", "", ""])
            },
            "cannot tell",
        ),
    ],
)
def test_settings_are_refused(options: dict[str, Any], message: str, tmp_path: Path, monkeypatch: Any) -> None:
    """Each with a typed error that says what to do, and nothing written."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(hfneg.InputError, match=message):
        audit(JUDGED, **options)
    assert list(tmp_path.iterdir()) == []


def test_labels_and_graded_layouts_are_told_apart() -> None:
    """Which layout a schema is, by its columns alone."""
    text, texts, numbers = pa.string(), pa.list_(pa.string()), pa.list_(pa.float32())

    def name(**fields: pa.DataType) -> str:
        return recognise(pa.schema(list(fields.items())), Given()).name

    assert name(query=text, positive=text, negative_1=text, negative_2=text, label=numbers) == "tuples"
    assert name(query=text, answer=text, hard_negative=text) == "triplets"
    assert name(query=text, docs=texts, labels=numbers) == "listwise"
    assert name(a=text, b=text, label=pa.bool_()) == "labelled_pairs"
    assert name(anchor=text, positive=texts, negatives=texts) == "lists"


# hfneg's own output, and the command


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small collection, mined with BM25."""
    out = tmp_path_factory.mktemp("audit") / "mined"
    rows = pairs().select_columns(["query", "answer", "topic"])
    recipe = hfneg.Recipe(k=20, sampler=hfneg.TakeTop(3))
    hfneg.mine(rows, hfneg.Corpus.from_texts(documents()), recipe, anchor="query", positive="answer", out=out)
    return out


def test_hfneg_s_own_output_is_clean(mined: Path) -> None:
    """No error in the folder, nor in the formats made of it."""
    report = audit(mined)
    assert (report.layout, report.columns["anchor"], report.columns["positive"][0]) == ("hfneg", ["query"], "answer")
    assert report.errors == []
    assert found(report, ["repeated_negative"]) == {"repeated_negative": 0}
    rows = datasets.load_dataset(str(mined), split="train").remove_columns("topic")
    for format in (hfneg.formats.triplets, hfneg.formats.tuples, hfneg.formats.labelled_pairs, hfneg.formats.listwise):
        assert audit(format(rows)).errors == []
    for format, name in ((hfneg.formats.write_flagembedding, "flag"), (hfneg.formats.write_tevatron, "tevatron")):
        format(rows, mined.parent / f"{name}.jsonl")
        assert audit(mined.parent / f"{name}.jsonl").errors == []


def test_the_reference_must_not_be_the_miner(mined: Path, tmp_path: Path) -> None:
    """A model that the recipe names is refused as the reference."""
    from hfneg.review import hardness

    with pytest.raises(hfneg.SettingError, match="neither miner nor teacher"):
        hardness.reference("org/model", "retrievers:\n- Dense(model='org/model', revision=None)\n")


def command(*arguments: object, code: int) -> str:
    result = CliRunner().invoke(cli.app, ["audit", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


def test_the_command_ends_as_it_says(mined: Path, tmp_path: Path) -> None:
    """0 clean, 1 errors found, 2 unusable input, 3 unusable output; a repaired file ends with 0."""
    assert "no errors" in command(mined, code=0)
    flawed = tmp_path / "flawed.jsonl"
    rows = [{"anchor": "a [b]", "positive": "[red]p[/red]", "negative": "[RED]p[/red]"}, *planted_triplets()]
    flawed.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = command(flawed, code=1)
    assert "positive_as_negative" in said
    assert "'[RED]p[/red]'" in said
    fixed = tmp_path / "fixed.parquet"
    assert "positive_as_negative 1" in command(flawed, "--fix", fixed, code=1)
    command(fixed, code=0)
    command(flawed, "--fix", fixed, code=3)
    command(flawed, "--fix", fixed, "--overwrite", code=1)
    command(flawed, "--max-rate", "0.5", code=0)
    command(flawed, "--negative", "nagative", code=2)
    command(tmp_path / "nothing.parquet", code=2)


def planted_triplets() -> list[dict[str, str]]:
    return [{"anchor": f"a{i}", "positive": f"p{i}", "negative": f"n{i}"} for i in range(5)]


def test_json_is_all_that_is_printed(mined: Path) -> None:
    """--json prints one object with these keys, strictly JSON, and the exit code is the same."""
    facts = json.loads(command(mined, "--json", "--quiet", code=0), parse_constant=lambda name: pytest.fail(name))
    assert list(facts) == [
        "hfneg", "ok", "errors", "warnings", "dataset", "layout", "columns", "rows", "anchors", "positives",
        "negatives", "negatives_per_row", "sources", "findings", "measures", "false_negatives", "hardness", "removed",
        "max_rate", "max_false_negatives",
    ]  # fmt: skip
    assert {finding["severity"] for finding in facts["findings"]} == {"error", "warning", "info"}
    for finding in facts["findings"]:
        assert set(finding) == {
            "name", "meaning", "severity", "unit", "count", "total", "rows", "fixable", "examples", "share",
        }  # fmt: skip
    assert facts["sources"] == {"bm25": facts["negatives"]}
    assert facts["ok"] is True


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared collections are not here")
def test_the_false_negative_rate_of_a_real_mining(tmp_path: Path) -> None:
    """banking77, BM25, one positive shown: the rate is that of a plain count over the qrels, and of the summary."""
    rows, corpus = load_beir(DATA / "banking77", show=1)
    names = {"anchor": "query", "positive": "positive", "hidden": "hidden_positive_ids"}
    recipe = hfneg.Recipe(retrievers=[hfneg.BM25()], k=30)
    ds = hfneg.mine(rows.select(range(400)), corpus, recipe, out=tmp_path / "mined", **names)
    qrels = [line.split("\t") for line in (DATA / "banking77/qrels/train.tsv").read_text().splitlines()[1:]]
    relevant = {(query, document) for query, document, _ in qrels}
    judged = [(row["query_id"], document) in relevant for row in ds for document in row["hard_negative_ids"]]
    report = audit(tmp_path / "mined", qrels=DATA / "banking77")
    rate = report.false_negatives
    assert rate is not None
    assert (rate.relevant, rate.negatives) == (sum(judged), len(judged))
    assert 0.6 < rate.low < rate.rate < rate.high < 0.8
    hidden = hfneg.open_summary(tmp_path / "mined")["hidden_positives"]
    assert rate.rate == pytest.approx(hidden["share_of_negatives"], abs=1e-6)
    assert report.errors == ["false_negatives"]
    assert rate.positives_found == 1.0
