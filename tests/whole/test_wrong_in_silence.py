"""What would give a result that looks right and is not: said, or refused."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hfneg
from hfneg.base.files import json_lines
from hfneg.data import judgments
from hfneg.models.encoder import Encoder
from hfneg.steps.scorer import TeacherScorer

TEXTS = [f"document number {i} about topic {i % 3}" for i in range(40)]
GOOD = np.array([[len(text) % 7 + 1, sum(map(ord, text)) % 11, 1.0] for text in TEXTS], dtype=np.float32)


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFNEG_STORE", str(tmp_path / "store"))


class Stub:
    """A user's encoder that gives whatever it was made with."""

    id = "stub-1"

    def __init__(self, given: Any) -> None:
        self.given = given

    def encode(self, texts: list[str]) -> Any:
        return self.given


def with_zeros() -> Any:
    vectors = GOOD.copy()
    vectors[[3, 9]] = 0
    return vectors


# Vectors.


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((40, 3)), "all 40 vectors .* are zero"),
        (np.zeros((40, 0)), r"shape \(40, 0\)"),
        (GOOD.astype(np.complex64), "complex64"),
        ([complex(1, 2)] * 40, "complex"),
        (torch.ones(40, 3, dtype=torch.complex64), "complex64"),
        (torch.ones(40, 3, device="meta"), "cannot be read"),
        (np.ma.masked_array(GOOD, mask=GOOD > 5), "masked"),
        (GOOD.astype("datetime64[s]"), "datetime64"),
        (GOOD[:39], r"shape \(39, 3\) for 40 texts"),
        (GOOD[:, 0], r"shape \(40,\)"),
        (None, "one vector per text"),
        ([[1.0], [1.0, 2.0]] * 20, "no array of numbers"),
    ],
)
def test_vectors_that_are_none(given: Any, said: str) -> None:
    """Refused by a typed error that says what came: zeros, no columns, complex numbers, masks, a wrong count."""
    with pytest.raises(hfneg.SettingError, match=said):
        Encoder(Stub(given)).encode(TEXTS, "document")


@pytest.mark.parametrize(
    "given",
    [
        torch.tensor(GOOD, requires_grad=True),
        torch.tensor(GOOD, requires_grad=True).double(),
        list(torch.tensor(GOOD, requires_grad=True)),
        torch.tensor(GOOD).to_sparse(),
        torch.tensor(GOOD, dtype=torch.bfloat16, requires_grad=True),
        GOOD.astype(object),
        GOOD.astype(np.float16),
        GOOD.astype(np.int64),
        GOOD.tolist(),
    ],
)
def test_vectors_in_another_form(given: Any) -> None:
    """Tensors with a gradient or in bfloat16, lists of tensors and Python's numbers are read as what they are."""
    np.testing.assert_array_equal(Encoder(Stub(given)).encode(TEXTS, "document"), GOOD)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (with_zeros(), r"2 of 40 vectors of 'stub-1' are zero.*document number 3"),
        (np.ones((40, 3)), r"all 40 vectors that 'stub-1' gave are equal"),
    ],
)
def test_vectors_that_say_nothing_are_said(given: Any, said: str, caplog: pytest.LogCaptureFixture) -> None:
    """Some zero vectors, or one vector for all texts, are used, and one line in the log says how many; once."""
    encoder = Encoder(Stub(given))
    for _ in range(2):
        encoder.encode(TEXTS, "document")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert re.search(said, record.getMessage())


def test_good_vectors_are_not_remarked_upon(caplog: pytest.LogCaptureFixture) -> None:
    """One text, equal texts, and vectors that differ give no warning."""
    Encoder(Stub(GOOD)).encode(TEXTS, "document")
    Encoder(Stub(np.ones((2, 3)))).encode(["a", "a"], "document")
    Encoder(Stub(np.ones((1, 3)))).encode(["a"], "query")
    assert caplog.records == []


# A retriever's and a teacher's numbers.


def mined(retriever: Any = None, teacher: Any = None) -> Any:
    rows = [{"q": f"which is number {i}", "a": TEXTS[i]} for i in range(8)]
    anchors = hfneg.Anchors(rows, hfneg.Corpus.from_texts(TEXTS), anchor="q", positive="a")
    filters = [hfneg.Margin(absolute=0.1)] if teacher is not None else []
    recipe = hfneg.Recipe(retrievers=[retriever or hfneg.BM25()], k=10, teacher=teacher, filters=filters)
    return recipe.transform(anchors)({"q": [row["q"] for row in rows], "a": [row["a"] for row in rows]})


class Own:
    name = "own"

    def __init__(self, form: Callable[[Any], Any]) -> None:
        self.form = form

    def search(self, texts: list[str], k: int) -> Any:
        scores = np.tile(np.linspace(1.0, 0.5, k, dtype=np.float32), (len(texts), 1))
        return self.form(scores), torch.tensor(np.tile(np.arange(k), (len(texts), 1)))


@pytest.mark.parametrize("form", [np.asarray, lambda s: torch.tensor(s, requires_grad=True), lambda s: s.tolist()])
def test_a_retrievers_tensors_are_numbers(form: Callable[[Any], Any]) -> None:
    """Scores with a gradient give the negatives that NumPy's give."""
    given, wanted = (list(map(list, mined(Own(f))["hard_negatives"])) for f in (form, np.asarray))
    assert given == wanted


def test_a_retrievers_complex_scores_are_refused() -> None:
    """Their imaginary part is not dropped in silence."""
    with pytest.raises(hfneg.RetrieverError, match="two arrays of numbers"):
        mined(Own(lambda s: s.astype(np.complex64)))


@pytest.mark.parametrize(
    "form", [lambda s: torch.tensor(s, requires_grad=True), lambda s: [torch.tensor(v, requires_grad=True) for v in s]]
)
def test_a_functions_tensors_are_scores(form: Callable[[Any], Any]) -> None:
    """A function of torch need not detach what it returns."""
    teacher = hfneg.FunctionTeacher(lambda queries, texts: form([float(len(text)) for text in texts]), id="torch")
    assert teacher.score(["q", "q"], ["ab", "abc"]).tolist() == [2.0, 3.0]


@pytest.mark.parametrize("given", [np.ones(2, dtype=complex), np.ma.masked_array([1.0, 2.0], mask=[0, 1])])
def test_scores_that_are_no_numbers_are_refused(given: Any) -> None:
    """Complex and masked scores are refused, not cut down to something."""
    with pytest.raises(hfneg.TeacherError, match="no array of numbers"):
        hfneg.FunctionTeacher(lambda queries, texts: given, id="odd").score(["q", "q"], ["a", "b"])


def heard(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "hfneg.steps.flat_scores"]


def test_a_teacher_that_says_the_same_of_all_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Once, with the number of pairs, the score, and what usually makes it so."""
    mined(teacher=hfneg.FunctionTeacher(lambda queries, texts: [0.25] * len(texts), id="constant"))
    (said,) = heard(caplog)
    assert "the score 0.25, and no other" in said
    assert "never trained" in said


def test_a_saturated_probability_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Logits that differ and are all 1 as float32 probabilities: the log names both, and the scale that helps."""
    judge = hfneg.FunctionTeacher(
        lambda queries, texts: [20.0 + sum(map(ord, text)) % 13 for text in texts], id="hot", scale="probability"
    )
    mined(teacher=judge)
    (said,) = heard(caplog)
    assert "have the probability 0 or 1" in said
    assert "scale='logit'" in said


def test_a_teacher_that_tells_pairs_apart_is_not_remarked_upon(caplog: pytest.LogCaptureFixture) -> None:
    """A judge who says 1 of all positives and 0 of others gives no warning, not even while only positives were seen."""
    rows = [{"q": f"which is number {i}", "a": text} for i, text in enumerate(TEXTS)] * 3
    anchors = hfneg.Anchors(rows, hfneg.Corpus.from_texts(TEXTS), anchor="q", positive="a")
    judge = hfneg.FunctionTeacher(
        lambda queries, texts: [
            float(f"number {query.split()[-1]} " in text) for query, text in zip(queries, texts, strict=True)
        ],
        id="judge",
    )
    TeacherScorer(anchors, judge).known_positives()
    mined(teacher=judge)
    assert heard(caplog) == []


# Judgments and ids.


def beir(folder: Path, queries: str = '{"_id": "q1", "text": "one"}\n', qrels: str = "q1\td1\t1\n") -> Path:
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "d1", "text": "a"}\n{"_id": "d2", "text": "b"}\n')
    (folder / "queries.jsonl").write_text(queries)
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{qrels}")
    return folder


@pytest.mark.parametrize("score", ["nan", "NaN", "inf", "-inf"])
def test_judgments_that_are_no_number(tmp_path: Path, score: str) -> None:
    """NaN is not "not relevant": the line is named, for mining, for audit and for calibrate."""
    folder = beir(tmp_path / "beir", qrels=f"q1\td1\t1\nq1\td2\t{score}\n")
    file = folder / "qrels" / "test.tsv"
    lone = tmp_path / "lone.tsv"
    lone.write_text(file.read_text())
    readers: list[Callable[[], Any]] = [lambda: hfneg.load_pairs(str(folder)), lambda: judgments.read(str(lone))]
    for read in readers:
        with pytest.raises(hfneg.InputError, match="line 3"):
            read()


def test_judgments_in_a_mapping_that_are_no_number() -> None:
    """The same for what Python gives."""
    given = {"q1": {"d1": 1, "d2": float("nan")}}
    with pytest.raises(hfneg.InputError, match="d2"):
        judgments.read(given)


def test_two_queries_with_one_id(tmp_path: Path) -> None:
    """Refused where their texts differ, with both texts; the same line twice is one query."""
    once = '{"_id": "q1", "text": "one"}\n'
    with pytest.raises(hfneg.InputError, match=r"the query 'q1' is there with two texts, 'one' and 'another'"):
        hfneg.load_pairs(str(beir(tmp_path / "two", once + once.replace("one", "another"))))
    assert len(hfneg.load_pairs(str(beir(tmp_path / "same", once + once))).rows) == 1


@pytest.mark.parametrize("missing", ["corpus.jsonl", "queries.jsonl"])
def test_half_a_beir_folder(tmp_path: Path, missing: str) -> None:
    """Judgments without the texts they are about: the file that lacks is named, instead of a guess at columns."""
    folder = beir(tmp_path / "beir")
    (folder / missing).unlink()
    with pytest.raises(hfneg.InputError, match=f"but no {missing}"):
        hfneg.load_pairs(str(folder))
    with pytest.raises(hfneg.InputError, match=missing):
        hfneg.load_beir(folder)


# Depth.


@pytest.mark.parametrize(
    "text",
    ['{"a": ' + "[" * 600 + "]" * 600 + "}\n", "[\n" * 600, '{"a": 1}\n' * 5 + '{"a":' * 501 + "1" + "}" * 501],
)
def test_deep_json_is_refused(tmp_path: Path, text: str) -> None:
    """On one line or over many."""
    path = tmp_path / "deep.jsonl"
    path.write_text(text)
    with pytest.raises(hfneg.InputError, match="more than 500"):
        json_lines.refuse_unparsable(path)


@pytest.mark.parametrize(
    "text", ['{"a": "' + "[" * 600 + '"}\n', '{"a": "\\"' + "[{" * 600 + '\\\\"}\n', "[]\n" * 900, ""]
)
def test_brackets_in_texts_are_no_depth(tmp_path: Path, text: str) -> None:
    """Nor are many that are closed again."""
    path = tmp_path / "flat.jsonl"
    path.write_text(text)
    json_lines.refuse_unparsable(path)
