"""Several teachers that must agree, extra positives, and limits taken from the known positives of all anchors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Value
from hypothesis import given, strategies as st
from properties import examples
from scripted import Scripted, ranked, world
from small_collection import documents, ours, pairs
from word_teacher import WordTeacher

import hfneg
from hfneg.base import columns
from hfneg.errors import RecipeError, SettingError
from hfneg.steps import scorer as scoring

TEXTS = [f"document{i} word{i * 7} term{i * 13} name{i * 29}" for i in range(12)]
POSITIVES = {"first question": [0], "second question": [1, 2]}
BATCH = {"q": list(POSITIVES), "a": [[TEXTS[row] for row in rows] for rows in POSITIVES.values()]}
small_world = world(TEXTS, POSITIVES)
HITS = {row: float(12 - row) for row in range(12)}
retriever = Scripted({q: ranked(HITS) for q in BATCH["q"]})
counter = iter(range(10**9))


def scripted_teacher(scores: dict[tuple[str, str], float]) -> hfneg.FunctionTeacher:
    def score(anchors: list[str], texts: list[str]) -> list[float]:
        return [scores[pair] for pair in zip(anchors, texts, strict=True)]

    return hfneg.FunctionTeacher(score, id=f"promotion-{next(counter)}", scale="from_zero")


def table(values: list[float]) -> dict[tuple[str, str], float]:
    """Scores as float32 would keep them."""
    drawn = iter(np.float32(values).tolist())
    return {(q, text): next(drawn) for q in BATCH["q"] for text in TEXTS}


tables = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1, width=32), min_size=24, max_size=24)


def mined(**slots: Any) -> dict[str, Any]:
    recipe = hfneg.Recipe(retrievers=retriever, k=12, **{"sampler": hfneg.TakeTop(4), **slots})
    return recipe.transform(small_world)(BATCH)


# Agreement.


@examples(40)
@given(tables, tables, st.sampled_from([0.05, 0.3]), st.booleans())
def test_all_teachers_must_agree(one: list[float], other: list[float], share: float, absolute: bool) -> None:
    """Kept is what the margin keeps by each teacher's own scores, also where their mean would keep it or drop it; the
    columns hold the mean."""
    first, second = table(one), table(other)
    margin = hfneg.Margin(absolute=share) if absolute else hfneg.Margin(relative=share)
    teacher = hfneg.MeanOfTeachers([scripted_teacher(first), scripted_teacher(second)])
    rows = mined(teacher=teacher, filters=hfneg.Agreement(margin))
    for i, (q, known) in enumerate(POSITIVES.items()):

        def below(scores: dict[tuple[str, str], float], text: str, q: str = q, known: list[int] = known) -> bool:
            positive = min(scores[q, TEXTS[row]] for row in known)
            return scores[q, text] <= positive - (share if absolute else share * abs(positive))

        left = [TEXTS[row] for row in range(12) if row not in known]
        kept = [text for text in left if below(first, text) and below(second, text)][:4]
        assert rows[columns.NEGATIVES][i] == kept
        means = [np.float32((first[q, text] + second[q, text]) / 2) for text in kept]
        assert rows[columns.NEGATIVE_TEACHER_SCORES][i] == means


def test_agreement_on_a_limit_from_all_positives_uses_each_teacher_s_own() -> None:
    """BelowPositives inside Agreement takes each member's own quantile."""
    first, second = table([0.5] * 24), table([0.5] * 24)
    for q, known in POSITIVES.items():
        for row in known:
            first[q, TEXTS[row]], second[q, TEXTS[row]] = 0.8, 0.25
    teacher = hfneg.MeanOfTeachers([scripted_teacher(first), scripted_teacher(second)])
    assert mined(teacher=teacher, filters=hfneg.BelowPositives(0))[columns.NEGATIVES] != [[], []]
    assert mined(teacher=teacher, filters=hfneg.Agreement(hfneg.BelowPositives(0)))[columns.NEGATIVES] == [[], []]


@pytest.mark.parametrize("of", [hfneg.RankWindow(2), hfneg.Margin(relative=0.1, by="score"), "Margin", None])
def test_agreement_wants_a_filter_of_the_teacher(of: Any) -> None:
    """Anything that does not look at the teacher's score is refused when it is built."""
    with pytest.raises(SettingError, match=r"Agreement\(of=.*looks at the teacher's score"):
        hfneg.Agreement(of)


@pytest.mark.parametrize(
    "text",
    [
        "Agreement(Margin(relative=0.05))",
        "Agreement: {of: Margin(relative=0.05)}",
        "Agreement: {of: {Margin: {relative: 0.05}}}",
    ],
)
def test_agreement_in_a_recipe(text: str) -> None:
    """Nested in each way of writing a step; and the text reads back."""
    recipe = hfneg.Recipe.from_yaml(f"filters:\n  - {text}\n")
    assert recipe.filters == (hfneg.Agreement(hfneg.Margin(relative=0.05, by="teacher")),)
    assert hfneg.Recipe.from_yaml(recipe.to_yaml()) == recipe


# Promotion.


@examples(60)
@given(
    tables,
    st.integers(1, 3),
    st.sampled_from([0.0, 0.2]),
    st.sampled_from(["min", "mean", "max"]),
    st.sampled_from([None, 0.5, 1.0]),
)
def test_what_the_teacher_puts_above_the_positive_is_promoted(
    values: list[float], n: int, margin: float, against: Any, quantile: float | None
) -> None:
    """At most n per anchor, the highest first, above the positive and above the quantile; texts and ids aligned;
    never a negative, whatever the filters say."""
    scores = table(values)
    promote = hfneg.Promote(n, margin, against, quantile)
    rows = mined(teacher=scripted_teacher(scores), promote=promote, sampler=hfneg.TakeTop(12))
    everywhere = sorted(scores[q, TEXTS[row]] for q, known in POSITIVES.items() for row in known)
    least = -1.0 if quantile is None else everywhere[int(quantile * (len(everywhere) - 1))]
    for i, (q, known) in enumerate(POSITIVES.items()):
        own = [scores[q, TEXTS[row]] for row in known]
        positive = {"min": min, "max": max, "mean": lambda of: float(np.float32(sum(of) / len(of)))}[against](own)
        left = [(-scores[q, TEXTS[row]], row) for row in range(12) if row not in known]
        expected = [row for score, row in sorted(left) if -score >= positive + margin and -score >= least][:n]
        assert rows[columns.EXTRA_POSITIVES][i] == [TEXTS[row] for row in expected]
        assert rows[columns.EXTRA_POSITIVE_IDS][i] == [str(row) for row in expected]
        others = [TEXTS[row] for row in range(12) if row not in known and row not in expected]
        assert rows[columns.NEGATIVES][i] == others


def test_promotion_scores_everything_and_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also what nobody needed for negatives; the ledger, the summary and the card name what was promoted."""
    rows = Dataset.from_dict(BATCH)
    scores = table([0.5] * 24)
    scores["first question", TEXTS[9]] = 0.75
    recipe = hfneg.Recipe(
        retrievers=retriever,
        k=12,
        teacher=scripted_teacher(scores),
        promote=hfneg.Promote(1, 0.2),
        sampler=hfneg.TakeTop(2),
    )
    out = tmp_path / "mined"
    result = hfneg.mine(rows, TEXTS, recipe, anchor="q", positive="a", out=out)
    assert "Promote(n=1, margin=0.2, against='max', quantile=0.5) looks at every candidate" in caplog.text
    assert result[columns.EXTRA_POSITIVES][:] == [[TEXTS[9]], []]
    assert result[columns.EXTRA_POSITIVE_IDS][:] == [["9"], []]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["verdicts"]["promoted"] == 1
    assert "| `promoted` | 1 |" in (out / "README.md").read_text()
    first = pq.read_table(out / "ledger").to_pylist()[0]
    names = [summary["verdict_codes"][str(code)] for code in first["verdicts"]]
    assert [row for row, name in zip(first["rows"], names, strict=True) if name == "promoted"] == [9]
    again = hfneg.mine(
        result,
        TEXTS,
        hfneg.Recipe(retrievers=retriever, k=12),
        anchor="q",
        positive="a",
        out=tmp_path / "again",
        remine=True,
    )
    assert columns.EXTRA_POSITIVES not in again.column_names


def test_promotion_is_the_same_however_it_is_run(tmp_path: Path) -> None:
    """One map, two maps, a stream and `mine`; lists of texts also where a batch promotes nothing."""
    given_pairs = pairs()
    corpus = hfneg.Corpus.from_texts(documents())
    anchors = hfneg.Anchors(given_pairs, corpus, anchor="query", positive="answer")
    slots = {"teacher": WordTeacher(), "promote": hfneg.Promote(2, quantile=0.3), "filters": hfneg.BelowPositives(0.5)}
    recipe = hfneg.Recipe(k=12, **slots)
    expected = ours(given_pairs.map(recipe.transform(anchors), batched=True, batch_size=9))
    assert any(expected[columns.EXTRA_POSITIVES])
    staged = given_pairs.map(hfneg.Retrieve(anchors, hfneg.BM25(), k=12), batched=True)
    assert ours(staged.map(hfneg.Select(anchors, **slots), batched=True, batch_size=4)) == expected
    stream, transform = given_pairs.to_iterable_dataset(), recipe.transform(anchors)
    features = transform.features(stream)
    assert features[columns.EXTRA_POSITIVES].feature == Value("string")
    assert ours(stream.map(transform, batched=True, batch_size=6, features=features)) == expected
    out = hfneg.mine(given_pairs, corpus, recipe, anchor="query", positive="answer", out=tmp_path / "mined")
    assert ours(out) == expected


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("Promote(n=0)", "n must be a whole number"),
        ("Promote(margin=-1)", "margin must be"),
        ("Promote(against='best')", "against must be one of"),
        ("Promote(quantile=2)", "quantile must be None or a quantile"),
    ],
)
def test_settings_of_promotion_are_checked(setting: str, message: str) -> None:
    """In the recipe, before any work."""
    with pytest.raises((RecipeError, SettingError), match=message):
        hfneg.Recipe.from_yaml(f"promote: {setting}")


# Limits from all known positives.


def test_a_noisy_positive_does_not_silence_its_anchor() -> None:
    """Without `noisy` an anchor whose positive scores nothing gets no negative; with it, those below the quantile."""
    scores = table([0.4] * 24)
    scores |= {
        ("second question", TEXTS[1]): 0.9,
        ("second question", TEXTS[2]): 0.8,
        ("first question", TEXTS[0]): 0.0,
    }
    teacher = scripted_teacher(scores)
    assert mined(teacher=teacher, filters=hfneg.Margin(relative=0.05))[columns.NEGATIVES][0] == []
    guarded = mined(teacher=teacher, filters=hfneg.Margin(relative=0.05, noisy=0.5))
    assert guarded[columns.NEGATIVES][0] == TEXTS[1:5]


def test_the_limit_is_the_same_in_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from the anchors, not from the batch; of more positives than SAMPLE the same ones are always taken."""
    monkeypatch.setattr(scoring, "SAMPLE", 20)
    given_pairs = pairs()
    anchors = hfneg.Anchors(given_pairs, hfneg.Corpus.from_texts(documents()), anchor="query", positive="answer")
    assert len(anchors) > 20
    recipe = hfneg.Recipe(k=12, teacher=WordTeacher(), filters=hfneg.BelowPositives(0.3))
    whole = ours(given_pairs.map(recipe.transform(anchors), batched=True, batch_size=64))
    assert any(whole[columns.NEGATIVES])
    assert ours(given_pairs.map(recipe.transform(anchors), batched=True, batch_size=1)) == whole


@pytest.mark.parametrize("quantile", [-0.1, 1.5, "low", True])
def test_a_quantile_is_from_0_to_1(quantile: Any) -> None:
    """Anything else is refused when the filter is built."""
    with pytest.raises(SettingError, match="quantile must be a quantile, 0 to 1"):
        hfneg.BelowPositives(quantile)


@examples(20)
@given(tables, st.sampled_from([0.25, 0.5, 0.9]))
def test_a_limit_of_its_own(values: list[float], least: float) -> None:
    """With `least` those are promoted that would be without it and score at least that; it stands in the repr then."""
    scores = table(values)
    teacher = scripted_teacher(scores)
    free = hfneg.Promote(n=12, quantile=None)
    limited = hfneg.Promote(n=12, quantile=None, least=least)
    every, some = (mined(teacher=teacher, promote=promote)[columns.EXTRA_POSITIVES] for promote in (free, limited))
    for query, of_all, of_some in zip(BATCH["q"], every, some, strict=True):
        assert list(of_some) == [text for text in of_all if scores[query, text] >= least]
    assert repr(free) == "Promote(n=12, margin=0.0, against='max', quantile=None)"
    assert repr(limited) == f"Promote(n=12, margin=0.0, against='max', quantile=None, least={least})"
