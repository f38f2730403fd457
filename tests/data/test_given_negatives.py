"""Given negatives come first and count as what they are; pairs that hold both ways and classes are closed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from test_way_in import ASKED, BODIES, EVERY, N, as_lines, rows_of, run

import hfneg
from hfneg.errors import ColumnError, InputError

WORDS = hfneg.Recipe(retrievers=hfneg.BM25(), k=N, sampler=hfneg.TakeTop(3))


def pairs_with(**negatives: Any) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"question": ASKED, "reply": BODIES, **negatives})


def shifted(by: int) -> list[str]:
    return [BODIES[(i + by) % N] for i in range(N)]


COLUMNS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "one": ({"negative": shifted(9)}, [9]),
    "numbered": ({"neg_2": shifted(4), "neg_1": shifted(9)}, [9, 4]),
    "a list": ({"hardNegative": [[a, b] for a, b in zip(shifted(9), shifted(4), strict=True)]}, [9, 4]),
    "with gaps": ({"negatives": [[None, "", a, a] for a in shifted(9)]}, [9]),
}


@pytest.mark.parametrize("form", COLUMNS)
def test_they_come_first_with_their_source(form: str, tmp_path: Path) -> None:
    """In the order in which they were given, before what is mined, which repeats none of them; `.map` says the same."""
    columns, expected = COLUMNS[form]
    pairs, corpus = pairs_with(**columns), hfneg.Corpus.from_texts(BODIES)
    mined = hfneg.mine(pairs, corpus, WORDS, out=tmp_path / "m", anchor="question", positive="reply")
    for i, row in enumerate(mined):
        first = [BODIES[(i + by) % N] for by in expected]
        assert row["hard_negatives"][: len(expected)] == first
        assert row["hard_negative_sources"] == ["given"] * len(expected) + ["bm25"] * (3 - len(expected))
        assert len(set(row["hard_negatives"])) == 3
        assert BODIES[i] not in row["hard_negatives"]
        assert np.isfinite(row["hard_negative_scores"]).all()
    anchors = hfneg.Anchors(pairs, corpus, anchor="question", positive="reply")
    mapped = pairs.map(WORDS.transform(anchors), batched=True, batch_size=5)
    for name in ("hard_negatives", "hard_negative_ids", "hard_negative_scores", "hard_negative_sources"):
        assert mapped[name][:] == mined[name][:]
    staged = pairs.map(hfneg.Retrieve(anchors, hfneg.BM25(), k=N), batched=True)
    staged = staged.map(hfneg.Select(anchors, sampler=hfneg.TakeTop(3)), batched=True)
    assert staged["hard_negatives"][:] == mined["hard_negatives"][:]
    summary = hfneg.open_summary(tmp_path / "m")
    assert summary["given_negatives"] == {"known": N * len(expected), "taken": N * len(expected)}
    assert summary["verdicts"]["given"] == N * len(expected)


def test_they_can_be_ignored(tmp_path: Path) -> None:
    """given="ignore" gives what rows without them give, byte for byte of our columns, and the same anchors."""
    corpus = hfneg.Corpus.from_texts(BODIES)
    options: dict[str, Any] = {"anchor": "question", "positive": "reply"}
    plain = hfneg.mine(pairs_with(), corpus, WORDS, out=tmp_path / "a", **options)
    ignored = hfneg.mine(pairs_with(negative=shifted(9)), corpus, WORDS, out=tmp_path / "b", given="ignore", **options)
    assert ignored.remove_columns("negative").to_list() == plain.to_list()
    both = (
        hfneg.Anchors(pairs_with(), corpus, **options).digest,
        hfneg.Anchors(pairs_with(negative=shifted(9)), corpus, given="ignore", **options).digest,
    )
    assert both[0] == both[1]


@pytest.mark.parametrize("conflict", [lambda text: text, lambda text: f"  {text.upper()}"])
def test_a_conflict_with_a_positive_is_shown(conflict: Any) -> None:
    """Also of another row of the same anchor, and also where it is written in another way."""
    rows = [
        {"q": "What slips?", "a": "Faults slip.", "neg": "Waves travel."},
        {"q": "WHAT SLIPS?", "a": "Plates slip.", "neg": conflict("Faults slip.")},
    ]
    with pytest.raises(InputError, match=r"1 given negatives are positives .*'What slips\?'.*given='ignore'"):
        hfneg.Anchors(rows, None, anchor="q", positive="a")


def test_no_filter_and_no_near_positive_takes_them_away(tmp_path: Path) -> None:
    """Somebody has looked at them: a variant of the positive that is given as a negative stays one."""
    long = [f"{body} It was checked in the spring, and again in the autumn, by the same person." for body in BODIES]
    variant = [text.replace("person.", "person!") for text in long]
    recipe = WORDS.with_settings(["filters=RankWindow(skip=20)"])
    corpus = hfneg.Corpus.from_texts([*long, *variant])
    for name, columns in (("given", {"negative": variant}), ("not", {})):
        pairs = datasets.Dataset.from_dict({"question": ASKED, "reply": long, **columns})
        mined = hfneg.mine(pairs, corpus, recipe, out=tmp_path / name, anchor="question", positive="reply")
        first = [(row["hard_negatives"] or [""])[0] for row in mined]
        assert (first == variant) == (name == "given")
        assert hfneg.open_summary(tmp_path / name)["verdicts"]["near_positive"] == (0 if name == "given" else N)


def test_they_are_known_again_without_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder says which columns they were, also where these have no usual name."""
    rows = datasets.Dataset.from_list(rows_of(question=ASKED, reply=BODIES, bad=shifted(9)))
    loaded = hfneg.load_pairs(rows, anchor="question", positive="reply", negative="bad")
    mined = hfneg.mine(loaded, hfneg.Corpus.from_texts(BODIES), WORDS, out=tmp_path / "m")
    assert [row[0] for row in mined["hard_negatives"]] == shifted(9)
    monkeypatch.setenv("HFNEG_STORE", str(tmp_path / "another"))
    again = hfneg.reselect(tmp_path / "m", out=tmp_path / "r", corpus=BODIES)
    assert again["hard_negatives"][:] == mined["hard_negatives"][:]


def test_more_than_are_wanted(tmp_path: Path) -> None:
    """The first n; the others are neither mined nor filtered, and say so in the ledger."""
    many = [[BODIES[(i + k) % N] for k in range(1, 7)] for i in range(N)]
    corpus = hfneg.Corpus.from_texts(BODIES)
    hfneg.mine(pairs_with(negs=many), corpus, WORDS, out=tmp_path / "m", anchor="question", positive="reply")
    mined = datasets.load_dataset("parquet", data_files=str(tmp_path / "m" / "data" / "*.parquet"), split="train")
    assert mined["hard_negatives"][:] == [row[:3] for row in many]
    verdicts = hfneg.open_summary(tmp_path / "m")["verdicts"]
    assert (verdicts["given"], verdicts["not_examined"] >= 3 * N) == (3 * N, True)


def test_a_teacher_scores_them_and_reselect_keeps_them(tmp_path: Path) -> None:
    """So that a student can be taught by them; another policy over the same ledger puts them first again."""

    def judge(queries: list[str], texts: list[str]) -> list[float]:
        return [float(len(set(query.split()) & set(text.split()))) for query, text in zip(queries, texts, strict=True)]

    recipe = hfneg.Recipe(
        retrievers=hfneg.BM25(),
        k=10,
        teacher=hfneg.FunctionTeacher(judge, id="words-of-g", scale="raw"),
        filters=[hfneg.BelowPositives(quantile=0.5)],
        sampler=hfneg.TakeTop(3),
    )
    corpus = hfneg.Corpus.from_texts(BODIES)
    options: dict[str, Any] = {"anchor": "question", "positive": "reply"}
    mined = hfneg.mine(pairs_with(negative=shifted(9)), corpus, recipe, out=tmp_path / "m", **options)
    for row in mined:
        assert np.isfinite(row["hard_negative_teacher_scores"]).all()
        assert len(row["hard_negative_teacher_scores"]) == len(row["hard_negatives"])
    again = hfneg.reselect(tmp_path / "m", out=tmp_path / "r", sampler=hfneg.TakeTop(2))
    assert [row[0] for row in again["hard_negatives"]] == shifted(9)
    assert {row[0] for row in again["hard_negative_sources"]} == {"given"}
    same = hfneg.reselect(tmp_path / "m", out=tmp_path / "s")
    assert same["hard_negatives"][:] == mined["hard_negatives"][:]


def test_deeper_and_filled_lists_keep_them_first(tmp_path: Path) -> None:
    """A second search and random documents come behind; several sources are fused without them."""
    recipe = hfneg.Recipe(
        retrievers=[hfneg.BM25(), hfneg.RandomDocuments()],
        k=3,
        deeper=6,
        short=hfneg.Fill(),
        filters=[hfneg.RankWindow(skip=2)],
        sampler=hfneg.TakeTop(8),
    )
    corpus = hfneg.Corpus.from_texts(BODIES)
    mined = hfneg.mine(
        pairs_with(negative=shifted(9)), corpus, recipe, out=tmp_path / "m", anchor="question", positive="reply"
    )
    for i, row in enumerate(mined):
        assert row["hard_negatives"][0] == BODIES[(i + 9) % N]
        assert len(set(row["hard_negatives"])) == 8
        assert row["hard_negative_sources"].count("given") == 1


def test_without_a_corpus_they_are_documents_too() -> None:
    """corpus=None: positives first, then given negatives."""
    anchors = hfneg.Anchors(
        [{"q": "x", "a": "one", "neg": ["two"]}, {"q": "y", "a": "two"}], None, anchor="q", positive="a"
    )
    assert anchors.corpus.texts([0, 1]).to_pylist() == ["one", "two"]
    assert anchors.negatives(np.arange(2)).flat.tolist() == [1]


def test_positives_and_given_negatives_that_the_corpus_lacks() -> None:
    """Both are added in one go, each text once, positives first; a conflict among them is seen."""
    rows = [
        {"q": "x", "a": "new", "neg": ["one", "newer"]},
        {"q": "y", "a": "two", "neg": ["new"]},
        {"q": "z", "a": "one", "neg": []},
    ]
    corpus = hfneg.Corpus.from_texts(["one", "two"])
    anchors = hfneg.Anchors(rows, corpus, anchor="q", positive="a", missing="add")
    assert anchors.corpus.texts(range(4)).to_pylist() == ["one", "two", "new", "newer"]
    assert (anchors.added, anchors.negatives(np.arange(3)).flat.tolist()) == (2, [0, 3, 2])
    with pytest.raises(InputError, match="given negatives are positives"):
        hfneg.Anchors([*rows, {"q": "X", "a": "one", "neg": ["NEW"]}], corpus, anchor="q", positive="a", missing="add")


def test_named_columns_and_misspelt_ones() -> None:
    """negative= names them; a wrong name is an error."""
    rows = datasets.Dataset.from_list([{"q": "x", "a": "one", "wrong": "two"}])
    assert hfneg.Anchors(rows, None, anchor="q", positive="a", negative="wrong").given == 1
    assert hfneg.Anchors(rows, None, anchor="q", positive="a").given == 0
    with pytest.raises(ColumnError, match="Did you mean 'wrong'"):
        hfneg.Anchors(rows, None, anchor="q", positive="a", negative="worng")


def mined_with_given(tmp_path: Path) -> Path:
    """One given negative and two mined ones for each anchor."""
    corpus = hfneg.Corpus.from_texts(BODIES)
    pairs = pairs_with(negative=shifted(9))
    hfneg.mine(pairs, corpus, WORDS, out=tmp_path / "m", anchor="question", positive="reply")
    return tmp_path / "m"


def test_they_count_as_true_negatives_where_rates_are_measured(tmp_path: Path) -> None:
    """calibrate: the rate is that of the mined ones times their share, and they are no pairs to judge; audit: with
    judgments of some anchors those of the others are true negatives, too."""
    folder = mined_with_given(tmp_path)
    rows = datasets.load_dataset("parquet", data_files=str(folder / "data" / "*.parquet"), split="train")
    judged = [
        {"query": row["question"], "document": text, "relevance": int(i % 2 == 0 and place == 1)}
        for i, row in enumerate(rows)
        for place, text in enumerate(row["hard_negatives"])
        if place
    ]
    found = hfneg.calibrate(folder, judge=judged)
    assert found.false_negatives.negatives == 3 * N
    assert found.false_negatives.judged == 2 * N
    assert found.false_negatives.rate == pytest.approx(1 / 4 * 2 / 3, abs=1e-6)
    assert found.negatives_per_anchor == 3
    assert any(f"{N} of the negatives were given as such" in text for text in found.warnings)
    written = hfneg.calibrate(folder, sample=2 * N, out=tmp_path / "s.csv")
    assert written.sample is not None
    texts = datasets.load_dataset("csv", data_files=str(tmp_path / "s.csv"), split="train")
    given = {(row["question"], row["hard_negatives"][0]) for row in rows}
    assert not given & {(row["anchor"], row["document"]) for row in texts}


def test_audit_does_not_call_a_given_variant_a_leak(tmp_path: Path) -> None:
    """A near-duplicate of the positive that was given as a negative is no error; one that was mined is."""
    long = [f"{body} It was checked in the spring, and again in the autumn, by the same person." for body in BODIES]
    variant = [text.replace("person.", "person!") for text in long]
    rows = datasets.Dataset.from_dict(
        {
            "question": ASKED,
            "reply": long,
            "hard_negatives": [[text] for text in variant],
            "hard_negative_sources": [["given"]] * N,
        }
    )
    assert hfneg.audit(rows).ok
    other = rows.remove_columns("hard_negative_sources").add_column("hard_negative_sources", [["bm25"]] * N)
    assert hfneg.audit(other)["near_positive"].count == N


def test_what_an_earlier_reading_left_is_found_by_audit(tmp_path: Path) -> None:
    """A bare positive with its titled twin among the negatives, both ways round, in any layout; ids as positives."""
    twins = [
        f"Of pump {i}, which stands in the northern hall of the old station\n{body}" for i, body in enumerate(BODIES)
    ]
    for one, other in ((BODIES, twins), (twins, BODIES)):
        triplets = datasets.Dataset.from_dict({"q": ASKED, "positive": one, "negative": [x.upper() for x in other]})
        report = hfneg.audit(triplets)
        assert report["positive_without_title"].count == N
        assert "positive_without_title" in report.errors
        other_rows = datasets.Dataset.from_dict(
            {"q": ASKED, "pos": [[x] for x in one], "neg": [[x] for x in other[1:] + other[:1]]}
        )
        assert hfneg.audit(other_rows, anchor="q", positive="pos")["positive_without_title"].count == 0
    fixed = hfneg.audit(triplets, fix=tmp_path / "fixed.parquet")
    assert fixed.removed is not None
    ids = datasets.Dataset.from_dict({"q": ASKED, "positive": [f"u-{i}" for i in range(N)], "negative": BODIES})
    report = hfneg.audit(ids)
    assert (report["ids_as_positives"].count, "ids_as_positives" in report.errors) == (N, True)
    words = datasets.Dataset.from_dict({"q": ASKED, "positive": ["yes", "no"] * (N // 2), "negative": BODIES})
    assert hfneg.audit(words)["ids_as_positives"].count == 0
    codes = datasets.Dataset.from_dict(
        {"q": ASKED, "positive": [f"u-{i}" for i in range(N)], "negative": [f"v-{i}" for i in range(N)]}
    )
    assert hfneg.audit(codes)["ids_as_positives"].count == 0


# Pairs that hold both ways.

DUPLICATES = [("a1", "a2"), ("a2", "a3"), ("b1", "b2"), ("c1", "c2"), ("a4", "a1")]


def test_pairs_that_hold_both_ways_are_closed(tmp_path: Path) -> None:
    """(a, b) and (b, c): b gets neither a nor c as a negative, and a not c; with a corpus of its own and without."""
    told = [f"text {name}" for name, _ in DUPLICATES], [f"text {name}" for _, name in DUPLICATES]
    pairs = datasets.Dataset.from_dict({"one": told[0], "other": told[1]})
    texts = sorted({*told[0], *told[1]})
    recipe = hfneg.Recipe(retrievers=hfneg.RandomDocuments(), k=20, sampler=hfneg.TakeTop(20))
    for i, corpus in enumerate((hfneg.Corpus.from_texts(texts), None)):
        mined = hfneg.mine(
            pairs, corpus, recipe, out=tmp_path / f"m{i}", anchor="one", positive="other", symmetric=True
        )
        for row in mined:
            family = row["one"].split()[1][0]
            expected = [text for text in texts if not text.startswith(f"text {family}")]
            assert sorted(row["hard_negatives"]) == expected
        assert hfneg.open_summary(tmp_path / f"m{i}")["reading"] == {"symmetric": True}


def test_it_is_hinted_at_where_texts_stand_on_both_sides(tmp_path: Path) -> None:
    """And not where none does."""
    pairs = as_lines(tmp_path / "p.jsonl", rows_of(question1=["a", "b", "x"], question2=["b", "c", "y"]))
    code, said = run("mine", pairs, "--out", tmp_path / "m", "--set", "retrievers=RandomDocuments()")
    assert code == 0
    assert "symmetric" not in said  # one text on both sides may be chance
    pairs = as_lines(tmp_path / "p2.jsonl", rows_of(question1=["a", "b", "c"], question2=["b", "c", "d"]))
    code, said = run("mine", pairs, "--out", tmp_path / "m2", "--set", "retrievers=RandomDocuments()")
    assert "say symmetric=True (--symmetric)" in said
    code, said = run("mine", pairs, "--out", tmp_path / "m3", "--symmetric", "--set", "retrievers=RandomDocuments()")
    assert (code, "say symmetric" in said) == (0, False)


# Classes.


def classed(names: list[Any]) -> list[dict[str, Any]]:
    return rows_of(utterance=[f"utterance {i} of {name}" for i, name in enumerate(names)], intent=names)


@pytest.mark.parametrize("kind", ["texts", "numbers", "ClassLabel"])
def test_texts_with_a_class(kind: str, tmp_path: Path) -> None:
    """Positives are other texts of the class, all of them are known, and negatives are of other classes."""
    names: list[Any] = [["pay", "card", "lost"][i % 3] for i in range(15)]
    rows = datasets.Dataset.from_list(classed(names))
    if kind != "texts":
        label = datasets.ClassLabel(names=["pay", "card", "lost"])
        rows = rows.cast_column("intent", label)
    if kind == "numbers":
        rows = rows.cast_column("intent", datasets.Value("int64"))
    loaded = hfneg.load_pairs(rows, classes=True, class_positives=2, anchor="utterance", label="intent")
    assert {len(positives) for positives in loaded.rows["positive"]} == {2}
    mined = hfneg.mine(loaded, recipe=EVERY, out=tmp_path / kind)
    for row in mined:
        family = row["utterance"].split()[-1]
        assert all(text.split()[-1] == family and text != row["utterance"] for text in row["positive"])
        others = [text for text in rows["utterance"] if text.split()[-1] != family]
        assert sorted(row["hard_negatives"]) == sorted(others)


def test_classes_on_the_command_line(tmp_path: Path) -> None:
    """--classes, by usual names and by any; a class of one text is left out and said."""
    rows = [*classed(["pay", "card"] * 4), {"utterance": "alone", "intent": "single"}]
    path = as_lines(tmp_path / "c.jsonl", [{"text": row["utterance"], "label": row["intent"]} for row in rows])
    code, said = run("mine", path, "--out", tmp_path / "m")
    assert (code, "--classes" in said) == (2, True)
    code, said = run("mine", path, "--classes", "--out", tmp_path / "m", "--set", "retrievers=RandomDocuments()")
    assert code == 0
    assert "1 rows are left out, because their class has no other text" in said
    summary = json.loads((tmp_path / "m" / "summary.json").read_text())
    assert (summary["anchors"], summary["documents"]) == (8, 9)


def test_a_text_with_two_classes_is_refused() -> None:
    """It would join both classes into one."""
    rows = datasets.Dataset.from_list([{"text": "Same", "label": 0}, {"text": "same ", "label": 1}])
    with pytest.raises(InputError, match="has two classes, 0 and 1"):
        hfneg.load_pairs(rows, classes=True)


def test_order_of_rows_does_not_choose_positives(caplog: pytest.LogCaptureFixture) -> None:
    """The ring of a class is drawn by its texts: the same positives whatever stands before."""
    rows = classed(["pay", "card"] * 5)
    one, two = (
        hfneg.load_pairs(datasets.Dataset.from_list(some), classes=True, anchor="utterance", label="intent").rows
        for some in (rows, rows[::-1])
    )
    as_dict = [dict(zip(found["utterance"][:], map(tuple, found["positive"][:]), strict=True)) for found in (one, two)]
    assert as_dict[0] == as_dict[1]
