"""What becomes of anchors that are short even so: kept short, relaxed, or filled; always labelled and counted."""

from __future__ import annotations

import itertools
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from judge import Judge
from scripted import Scripted, SearchOnly, world
from small_collection import documents, ours, pairs

import hfneg
from hfneg import formats
from hfneg.base import columns
from hfneg.errors import RecipeError, SettingError

ids = (f"short-{i}" for i in itertools.count())

TEXTS = [f"text{i} word{i * 7} name{i * 31} term{i * 17}" for i in range(40)]
LIST = [(row, 20.0 - row) for row in range(1, 13)]


def mapped(recipe: hfneg.Recipe, texts: list[str] | None = None) -> tuple[dict[str, Any], list[str]]:
    """The one row of an anchor whose positive is document 0, and the names of the verdicts on its candidates."""
    texts = texts or TEXTS
    transform = recipe.transform(world(texts, {"one": [0]}), keep_candidates=True)
    rows = transform({"q": ["one"], "a": [texts[0]]})
    names = transform.select.policy.verdict_names
    return {name: value[0] for name, value in rows.items()}, [names[code] for code in rows["candidate_verdicts"][0]]


def of_list(**slots: Any) -> hfneg.Recipe:
    return hfneg.Recipe(**{"retrievers": Scripted({"one": LIST}), "k": 12, "sampler": hfneg.TakeTop(5), **slots})


def test_without_a_teacher_the_deepest_are_relaxed_first() -> None:
    """RankWindow leaves two of twelve; three come back from the end of the list, behind the two, with their label."""
    row, verdicts = mapped(of_list(filters=hfneg.RankWindow(skip=3, stop=5), short=hfneg.Relax()))
    assert row[columns.NEGATIVES] == [TEXTS[i] for i in (4, 5, 12, 11, 10)]
    assert row[columns.NEGATIVE_SOURCES] == ["scripted"] * 2 + ["scripted+relaxed"] * 3
    assert row[columns.NEGATIVE_SCORES] == [16.0, 15.0, 8.0, 9.0, 10.0]
    assert verdicts == ["rank_window"] * 3 + ["selected"] * 2 + ["rank_window"] * 4 + ["relaxed"] * 3


def test_with_a_teacher_the_least_relevant_are_relaxed_first() -> None:
    """The lowest score first, of equal ones the deepest; never one at or above the least positive, which would be a
    likely positive; candidates that the teacher had not seen are scored for that, once."""
    taught = {0: 0.5, **dict.fromkeys(range(1, 13), 0.9), 3: 0.5, 5: 0.2, 6: 0.1, 9: 0.1, 11: 0.499}
    judge = Judge(lambda _, text: taught[TEXTS.index(text)])
    teacher = judge.teacher(id=next(ids))
    filters = [hfneg.RankWindow(skip=9), hfneg.Margin(relative=0.9)]
    row, verdicts = mapped(of_list(teacher=teacher, filters=filters, short=hfneg.Relax()))
    assert row[columns.NEGATIVES] == [TEXTS[i] for i in (9, 6, 5, 11)]
    assert row[columns.NEGATIVE_TEACHER_SCORES] == pytest.approx([0.1, 0.1, 0.2, 0.499])
    assert verdicts.count("relaxed") == 4
    assert len(judge.pairs) == len(set(judge.pairs)) == 13


def test_what_the_guard_refuses_is_never_relaxed() -> None:
    """A copy of the positive, the anchor's own text, a repeat, a known positive: short they stay."""
    texts = ["The positive of it", "THE positive of it", "one", "something else", "Something  ELSE", "a last document"]
    source = Scripted({"one": [(row, 9.0 - row) for row in range(6)]})
    recipe = of_list(retrievers=source, k=6, filters=hfneg.RankWindow(skip=6), short=hfneg.Relax())
    row, verdicts = mapped(recipe, texts)
    assert verdicts == ["known_positive", "near_positive", "own_text", "relaxed", "repeat", "relaxed"]
    assert row[columns.NEGATIVES] == [texts[5], texts[3]]


def test_random_documents_fill_up() -> None:
    """Behind what was found, none of them in the list or the positive, labelled; with the retriever's score where it
    has one, else 0; another seed, other documents."""
    for retriever, score in ((Scripted({"one": LIST}), None), (SearchOnly({"one": LIST}), 0.0)):
        row, verdicts = mapped(of_list(retrievers=retriever, filters=hfneg.Band(low=17.0), short=hfneg.Fill(1)))
        assert row[columns.NEGATIVES][:3] == TEXTS[1:4]
        filled = [TEXTS.index(text) for text in row[columns.NEGATIVES][3:]]
        assert len(set(filled)) == 2
        assert set(filled).isdisjoint(range(13))
        assert row[columns.NEGATIVE_SOURCES] == [retriever.name] * 3 + ["random"] * 2
        assert row[columns.NEGATIVE_SCORES][3:] == [score or 0.0] * 2
        assert verdicts == ["selected"] * 3 + ["band"] * 9 + ["filled"] * 2
        assert row[columns.CANDIDATE_FIRST] == [12]
    other, _ = mapped(of_list(filters=hfneg.Band(low=17.0), short=hfneg.Fill(2)))
    assert other[columns.NEGATIVES] != row[columns.NEGATIVES]


def test_filled_documents_have_the_score_that_a_search_would_give() -> None:
    """BM25's score of a random document is the one that a search over the whole corpus gives it."""
    recipe = hfneg.Recipe(k=2, filters=hfneg.RankWindow(skip=2), sampler=hfneg.TakeTop(6), short=hfneg.Fill())
    anchors = hfneg.Anchors(pairs(), hfneg.Corpus.from_texts(documents()), anchor="query", positive="answer")
    given = pairs().select(range(3))
    filled = given.map(recipe.transform(anchors), batched=True)
    everything = given.map(hfneg.Retrieve(anchors, hfneg.BM25(), k=300), batched=True)
    for row, whole in zip(filled, everything, strict=True):
        known = dict(zip(whole["candidate_rows"], whole["candidate_scores"], strict=True))
        at = anchors.corpus.rows_of_texts(row[columns.NEGATIVES])
        assert len(at) == 6
        assert row[columns.NEGATIVE_SCORES] == [known.get(int(i), 0.0) for i in at]


def test_the_guard_and_the_teacher_look_at_what_fills_up() -> None:
    """Copies of the positive and what the teacher puts at or above it are not filled in; where nothing else is there,
    the anchor stays short. What is filled in has a teacher's score, so that distilling formats can use the row."""
    texts = ["the positive of it", "The Positive of it", "the  positive OF it", "good", "bad", "worse", "relevant too"]
    taught = dict(zip(texts, [0.5, 0.5, 0.5, 0.1, 0.2, 0.3, 0.9], strict=True))
    judge = Judge(lambda _, text: taught[text])
    slots = {"retrievers": Scripted({"one": [(3, 1.0)]}), "k": 3, "short": hfneg.Fill(3)}
    row, _ = mapped(of_list(**slots), texts)
    assert sorted(row[columns.NEGATIVES]) == ["bad", "good", "relevant too", "worse"]
    row, _ = mapped(of_list(**slots, teacher=judge.teacher(id=next(ids))), texts)
    assert sorted(row[columns.NEGATIVES]) == ["bad", "good", "worse"]
    assert row[columns.NEGATIVE_TEACHER_SCORES] == pytest.approx([taught[text] for text in row[columns.NEGATIVES]])


def test_a_filled_sample_depends_on_the_anchor_alone(tmp_path: Path) -> None:
    """Other anchors, their order and the batch make no difference; two anchors get different documents."""
    corpus = hfneg.Corpus.from_texts(TEXTS)
    questions = [f"question {i}" for i in range(8)]
    rows = Dataset.from_dict({"q": questions, "a": TEXTS[:8]})
    recipe = of_list(retrievers=Scripted({}), short=hfneg.Fill(5))
    anchors = hfneg.Anchors(rows, corpus, anchor="q", positive="a")
    together = rows.map(recipe.transform(anchors), batched=True)
    assert len({tuple(found) for found in together[columns.NEGATIVES]}) == 8
    some = rows.select([6, 2])
    fewer = hfneg.Anchors(some, corpus, anchor="q", positive="a")
    assert ours(some.map(recipe.transform(fewer), batched=True)) == ours(together.select([6, 2]))


def test_it_is_never_silent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """`.map` warns once per process, `mine` counts in log, summary and card; what was relaxed or filled has a row
    in the card's table of verdicts."""
    rows = Dataset.from_dict({"q": [f"question {i}" for i in range(6)], "a": TEXTS[:6]})
    source = Scripted({f"question {i}": LIST for i in range(6)})
    for short, word in ((hfneg.Keep(), None), (hfneg.Relax(), "relaxed"), (hfneg.Fill(), "filled")):
        recipe = of_list(retrievers=source, filters=hfneg.RankWindow(skip=10), short=hfneg.Fill())
        recipe = recipe.model_copy(update={"short": short})  # unchecked: refused where it is Keep
        caplog.clear()
        out = tmp_path / type(short).__name__
        with caplog.at_level(logging.WARNING, "hfneg"):
            mined = hfneg.mine(rows, TEXTS, recipe, anchor="q", positive="a", out=out)
        facts = json.loads((out / "summary.json").read_text())
        assert facts["short"]["policy"] == repr(short)
        assert facts["short"]["anchors"] == 6
        if word is None:
            assert facts["short"]["still_short"] == 6
            assert "6 of 6 anchors have fewer than 5 negatives (short: Keep())" in caplog.text
        else:
            assert facts["short"]["still_short"] == 0
            assert facts["short"][word] == facts["verdicts"][word] == sum(map(len, mined[columns.NEGATIVES])) - 12
            assert re.search(rf"^\| .*{word}.* \|", (out / "README.md").read_text(), re.MULTILINE)
            assert formats.tuples(mined, n=5).num_rows == 6
    caplog.clear()
    anchors = hfneg.Anchors(rows, hfneg.Corpus.from_texts(TEXTS), anchor="q", positive="a")
    keep = recipe.model_copy(update={"short": hfneg.Keep()})
    with caplog.at_level(logging.WARNING, "hfneg"):
        rows.map(keep.transform(anchors), batched=True, batch_size=2, load_from_cache_file=False)
    assert caplog.text.count("2 of 2 anchors of a batch have fewer than 5 negatives") == 1


def test_only_a_policy_for_short_anchors_fits_the_slot() -> None:
    """Another step is refused where it is given, in a recipe and in `Mine`."""
    with pytest.raises(RecipeError, match="short"):
        hfneg.Recipe(short=hfneg.TakeTop(5))
    anchors = world(TEXTS, {"one": [0]})
    with pytest.raises(SettingError, match=r"Keep\(\), Relax\(\) or Fill"):
        hfneg.Mine(hfneg.Retrieve(anchors, hfneg.BM25(), k=3), hfneg.Select(anchors), short="fill")  # type: ignore[arg-type]
