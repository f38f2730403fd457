"""`hfneg.calibrate` and ``hfneg calibrate`` on a mined folder whose truth is written into its documents."""

from __future__ import annotations

import csv
import json
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_collection import HashEncoder
from typer.testing import CliRunner

import hfneg
from hfneg import cli
from hfneg.errors import (
    ColumnError,
    EmptyInputError,
    InputError,
    MissingExtraError,
    NeedsTeacher,
    OutputError,
    OutputExistsError,
    RecipeError,
    SettingError,
)
from hfneg.runs.folder import mined as mined_folder

ANCHORS, EACH = 120, 12
LIMIT = "filters.belowpositives.quantile"


def documents(lower: float = 0.0, seed: int = 3) -> list[str]:
    """Twelve per anchor, the first of them its known positive: "topic7 d3 s0.512 r1" has score .512 and is relevant.

    Anchors differ in how many of the others are relevant; these score `lower` less than the known positives.
    """
    draw = random.Random(seed)
    texts = []
    for topic in range(ANCHORS):
        share = draw.choice([0.0, 0.0, 0.1, 0.4])
        for place in range(EACH):
            relevant = place == 0 or draw.random() < share
            score = min(max(draw.gauss(0.7 - (lower if place else 0.0) if relevant else 0.35, 0.12), 0.01), 0.99)
            texts.append(f"topic{topic} d{place} s{score:.3f} r{int(relevant)} word{draw.randrange(40)}")
    return texts


def score_of(text: str) -> float:
    return float(text.split()[2][1:])


def relevant(text: str) -> bool:
    return text.split()[3] == "r1"


def told(anchors: list[str], texts: list[str]) -> list[float]:
    return [score_of(text) for text in texts]


def pairs(texts: list[str]) -> datasets.Dataset:
    return datasets.Dataset.from_list(
        [{"query_id": f"q{i}", "query": f"What of topic{i}", "answer": texts[i * EACH]} for i in range(ANCHORS)]
    )


def mine(out: Path, texts: list[str], **slots: Any) -> Path:
    teacher = hfneg.FunctionTeacher(told, id="told", scale="probability")
    slots = {"teacher": teacher, "filters": [hfneg.BelowPositives(0.1)], "sampler": hfneg.TakeTop(EACH), **slots}
    recipe = hfneg.Recipe(k=EACH, **slots)
    corpus = hfneg.Corpus.from_dataset([{"_id": f"doc{i}", "text": text} for i, text in enumerate(texts)], id="_id")
    hfneg.mine(pairs(texts), corpus, recipe, anchor="query", positive="answer", out=out)
    return out


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return documents()


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Path:
    """All candidates are scored, because more negatives are asked for than there are."""
    return mine(tmp_path_factory.mktemp("calibration") / "mined", texts)


@pytest.fixture(scope="module")
def untaught(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Path:
    """Without a teacher, five per anchor."""
    return mine(
        tmp_path_factory.mktemp("calibration") / "mined", texts, teacher=None, filters=[], sampler=hfneg.TakeTop(5)
    )


def negatives(folder: Path) -> list[tuple[str, str, str]]:
    """(query id, document id, text) of every negative in the rows."""
    rows = pq.read_table(folder / "data").to_pylist()
    return [
        (row["query_id"], *pair)
        for row in rows
        for pair in zip(row["hard_negative_ids"], row["hard_negatives"], strict=True)
    ]


def truth(folder: Path) -> float:
    return float(np.mean([relevant(text) for _, _, text in negatives(folder)]))


def judged(path: Path) -> list[dict[str, Any]]:
    """The rows of a sample, each with its judgment."""
    rows = datasets.load_dataset(path.suffix[1:].replace("jsonl", "json"), data_files=str(path), split="train")
    return [{**row, "relevance": int(relevant(row["document"]))} for row in rows]


# A judged sample.


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("folder", ["mined", "untaught"])
def test_a_sample_is_judged_and_given_back(
    folder: str, suffix: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The interval holds the truth; weights and strata add up to the negatives; the rate is what plain Python says."""
    source: Path = request.getfixturevalue(folder)
    out = tmp_path / f"sample{suffix}"
    asked = hfneg.calibrate(source, sample=120, out=out)
    rows = judged(out)
    known = {(query, document): text for query, document, text in negatives(source)}
    assert asked.sample is not None
    assert (asked.sample.pairs, len(rows)) == (120, 120)
    assert all(known[row["anchor_id"], row["document_id"]] == row["document"] for row in rows)
    assert len({(row["anchor_id"], row["document_id"]) for row in rows}) == 120
    assert sum(row["weight"] for row in rows) == pytest.approx(len(known))
    found = hfneg.calibrate(source, judge=rows)
    rate = found.false_negatives
    assert (rate.method, rate.confidence, rate.judged, rate.negatives) == ("judged sample", True, 120, len(known))
    assert rate.rate == pytest.approx(sum(r["weight"] * r["relevance"] for r in rows) / len(known))
    assert rate.low < rate.rate < rate.high
    assert rate.low <= truth(source) <= rate.high
    assert sum(one.negatives for one in rate.strata) == len(known)
    by = "teacher_score" if folder == "mined" else "rank"
    assert all(one.name.startswith(by) for one in rate.strata)


def test_the_sample_has_an_empty_column_to_fill(mined: Path, tmp_path: Path) -> None:
    """As a file, too: filled in where it is, it is read back; what was left empty is not judged, and said."""
    out = tmp_path / "sample.csv"
    hfneg.calibrate(mined, sample=60, out=out)
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["relevance"] for row in rows} == {""}
    for row in rows[:40]:
        row["relevance"] = "yes" if relevant(row["document"]) else "no"
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    found = hfneg.calibrate(mined, judge=out)
    assert found.false_negatives.judged == 40
    assert any("20 of 60 judgments are empty" in warning for warning in found.warnings)


def test_a_seed_draws_one_sample(mined: Path, tmp_path: Path) -> None:
    """The same seed the same file, another seed another; nothing is overwritten unasked."""
    files = [tmp_path / f"{i}.jsonl" for i in range(3)]
    for path, seed in zip(files, [1, 1, 2], strict=True):
        hfneg.calibrate(mined, sample=30, out=path, seed=seed)
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()
    with pytest.raises(OutputExistsError, match="perhaps with judgments in it"):
        hfneg.calibrate(mined, sample=30, out=files[0])
    hfneg.calibrate(mined, sample=30, out=files[0], seed=2, overwrite=True)
    assert files[0].read_bytes() == files[2].read_bytes()


# Forms of judgments.


def as_ids(rows: list[dict[str, Any]], folder: Path) -> Any:
    return [{"query_id": r["anchor_id"], "docid": r["document_id"], "label": r["relevance"]} for r in rows]


def as_texts(rows: list[dict[str, Any]], folder: Path) -> Any:
    return [{"query": r["anchor"].upper(), "passage": r["document"], "relevant": bool(r["relevance"])} for r in rows]


def as_words(rows: list[dict[str, Any]], folder: Path) -> Any:
    return datasets.Dataset.from_list([{**r, "relevance": ["No", "Yes"][r["relevance"]]} for r in rows])


def as_grades(rows: list[dict[str, Any]], folder: Path) -> Any:
    return [{**r, "relevance": 2 * r["relevance"]} for r in rows]


def as_trec(rows: list[dict[str, Any]], folder: Path) -> Any:
    path = folder / "judged.qrels"
    path.write_text("".join(f"{r['anchor_id']} 0 {r['document_id']} {r['relevance']}\n" for r in rows))
    return path


def as_beir(rows: list[dict[str, Any]], folder: Path) -> Any:
    path = folder / "judged.tsv"
    lines = [f"{r['anchor_id']}\t{r['document_id']}\t{r['relevance']}\n" for r in rows]
    path.write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    return path


def as_mapping(rows: list[dict[str, Any]], folder: Path) -> Any:
    found: dict[str, dict[str, int]] = {}
    for r in rows:
        found.setdefault(r["anchor_id"], {})[r["document_id"]] = r["relevance"]
    return found


@pytest.mark.parametrize("form", [as_ids, as_texts, as_words, as_grades, as_trec, as_beir, as_mapping])
def test_every_form_of_judgments_says_the_same(
    form: Callable[..., Any], mined: Path, tmp_path: Path, sampled: list[dict[str, Any]]
) -> None:
    """Ids or texts (in whatever case), words or grades, tables, qrels of BEIR and TREC, mappings."""
    expected = hfneg.calibrate(mined, judge=sampled).false_negatives
    assert hfneg.calibrate(mined, judge=form(sampled, tmp_path)).false_negatives == expected


@pytest.fixture(scope="module")
def sampled(mined: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    out = tmp_path_factory.mktemp("sampled") / "sample.jsonl"
    hfneg.calibrate(mined, sample=120, out=out)
    return judged(out)


def test_grades_have_a_least_one(mined: Path, sampled: list[dict[str, Any]]) -> None:
    """Numbers between are refused until it is said from which on a document is relevant; 0.5 then splits them."""
    shares = [{**row, "relevance": 0.2 + 0.7 * row["relevance"]} for row in sampled]
    with pytest.raises(InputError, match=r"120 of 120 judgments have other labels .*relevant_from"):
        hfneg.calibrate(mined, judge=shares)
    expected = hfneg.calibrate(mined, judge=sampled).false_negatives
    assert hfneg.calibrate(mined, judge=shares, relevant_from=0.5).false_negatives == expected


def test_a_majority_of_judges_counts(mined: Path, sampled: list[dict[str, Any]]) -> None:
    """Three judgments of each pair, one of them wrong, are as good as the right one; how many disagree is said."""
    three = [row for r in sampled for row in (r, r, {**r, "relevance": 1 - r["relevance"]})]
    found = hfneg.calibrate(mined, judge=three)
    assert found.false_negatives == hfneg.calibrate(mined, judge=sampled).false_negatives
    assert any("120 pairs were judged several times, not alike" in warning for warning in found.warnings)


# Judged anchors.


def qrels(texts: list[str], topics: Iterator[int] | range) -> dict[str, list[str]]:
    """What is relevant, and only that, of some anchors."""
    return {
        f"q{topic}": [f"doc{i}" for i in range(topic * EACH, (topic + 1) * EACH) if relevant(texts[i])]
        for topic in topics
    }


@pytest.mark.parametrize("folder", ["mined", "untaught"])
def test_judged_anchors_tell_of_the_others(folder: str, texts: list[str], request: pytest.FixtureRequest) -> None:
    """Qrels of 60 of 120 anchors: complete as far as they go, judged in whole anchors; the interval holds the truth."""
    source: Path = request.getfixturevalue(folder)
    found = hfneg.calibrate(source, judge=qrels(texts, range(60)))
    rate = found.false_negatives
    assert rate.method == "judged anchors"
    assert rate.of == "anchors like these"
    assert 40 <= rate.units <= 60
    assert rate.rate is not None
    assert rate.low <= truth(source) <= rate.high
    assert 0 < rate.high - rate.low < 0.35
    assert any("60 anchors are taken as complete" in warning for warning in found.warnings)


def test_judged_anchors_that_are_no_random_sample_are_warned_of(mined: Path, texts: list[str]) -> None:
    """Those whose negatives score highest: the interval would be too high, and it is said."""
    means: dict[int, list[float]] = {}
    for query, _, text in negatives(mined):
        means.setdefault(int(query[1:]), []).append(score_of(text))
    topics = sorted(means, key=lambda topic: float(np.mean(means[topic])))
    found = hfneg.calibrate(mined, judge=qrels(texts, iter(topics[-50:])))
    assert any("score otherwise than the others'" in warning for warning in found.warnings)
    drawn = hfneg.calibrate(mined, judge=qrels(texts, iter(topics[::2])))
    assert not any("score otherwise" in warning for warning in drawn.warnings)


def test_listed_only_leaves_the_rest_unjudged(untaught: Path, texts: list[str]) -> None:
    """With complete=False only what is named is judged: all of it relevant, which is no sample to trust."""
    named = hfneg.calibrate(untaught, judge=qrels(texts, range(ANCHORS)), complete=False).false_negatives
    assert named.judged == named.relevant > 0
    whole = hfneg.calibrate(untaught, judge=qrels(texts, range(ANCHORS))).false_negatives
    assert (whole.judged, whole.rate) == (whole.negatives, pytest.approx(truth(untaught)))


def test_a_table_of_whole_anchors_is_seen_to_be_one(mined: Path) -> None:
    """All negatives of 30 anchors, judged pair by pair: their correlation is reckoned with, which makes it wider."""
    pairs = negatives(mined)
    whole = [(q, d, t) for q, d, t in pairs if int(q[1:]) < 30]
    spread = random.Random(1).sample(pairs, len(whole))
    rates = [
        hfneg.calibrate(
            mined, judge=[{"query_id": q, "docid": d, "relevance": int(relevant(t))} for q, d, t in some]
        ).false_negatives
        for some in (whole, spread)
    ]
    assert [rate.method for rate in rates] == ["judged anchors", "judged sample"]
    assert rates[0].high - rates[0].low > rates[1].high - rates[1].low


# No judgments.


def test_without_judgments_nothing_is_claimed(mined: Path) -> None:
    """No rate, no confidence: a bound for three shifts, growing, and a warning that says what it rests on."""
    found = hfneg.calibrate(mined)
    rate = found.false_negatives
    assert (rate.method, rate.rate, rate.low, rate.confidence) == ("no judgments", None, 0.0, False)
    assert [one.shift for one in found.sensitivity] == [0.0, 0.5, 1.0]
    assert [one.at_most for one in found.sensitivity] == sorted(one.at_most for one in found.sensitivity)
    assert rate.high == found.sensitivity[-1].at_most >= truth(mined)
    assert any("they are usually harder to recognise" in warning for warning in found.warnings)
    assert "sensitivity, not confidence" in repr(found)


def test_unlabelled_positives_that_score_lower_are_warned_of(tmp_path: Path) -> None:
    """There the bound without a shift is too low; the shifted end is told with it, and a judged sample settles it."""
    texts = documents(lower=0.12)
    source = mine(tmp_path / "mined", texts)
    found = hfneg.calibrate(source)
    assert found.sensitivity[0].at_most < truth(source) <= found.false_negatives.high
    assert not found.false_negatives.confidence
    assert found.warnings
    hfneg.calibrate(source, sample=150, out=tmp_path / "sample.csv")
    rate = hfneg.calibrate(source, judge=judged(tmp_path / "sample.csv")).false_negatives
    assert rate.low <= truth(source) <= rate.high


def test_a_sample_that_nobody_has_filled_in(mined: Path, tmp_path: Path) -> None:
    """Said as such, and no text printed; one that is half filled in is read, and how many are empty is said."""
    path = tmp_path / "empty.csv"
    hfneg.calibrate(mined, sample=40, out=path)
    with pytest.raises(InputError, match=r"40 pairs.* is empty in all of them: fill in the column relevance") as caught:
        hfneg.calibrate(mined, judge=path)
    assert "topic" not in str(caught.value)
    rows = judged_csv(path)
    found = hfneg.calibrate(mined, judge=[{**row, "relevance": None if i % 2 else 0} for i, row in enumerate(rows)])
    assert any("20 of 40 judgments are empty" in warning for warning in found.warnings)
    assert found.false_negatives.judged == 20


def judged_csv(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_judged_sample_grows(mined: Path, tmp_path: Path) -> None:
    """The larger one holds all that was judged, filled in, and is the sample that would have been drawn at once.

    Drawn by another seed it holds them, too; and it must be larger.
    """
    first, grown, whole, other = (tmp_path / f"{name}.jsonl" for name in ("first", "grown", "whole", "other"))
    hfneg.calibrate(mined, sample=100, out=first)
    rows = judged(first)
    known = {(row["anchor"], row["document"]): row["relevance"] for row in rows}
    found = hfneg.calibrate(mined, judge=rows, sample=250, out=grown)
    hfneg.calibrate(mined, sample=250, out=whole)
    hfneg.calibrate(mined, judge=rows, sample=250, out=other, seed=5)
    assert found.sample.judged == 100
    for path in (grown, other):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        filled = {(row["anchor"], row["document"]): row["relevance"] for row in lines if row["relevance"] is not None}
        assert filled == known
        assert len(lines) == 250
    asked = [
        {(r["anchor"], r["document"]) for r in map(json.loads, p.read_text().splitlines())} for p in (grown, whole)
    ]
    assert asked[0] == asked[1]
    rate = hfneg.calibrate(mined, judge=judged(other)).false_negatives
    assert rate.low <= truth(mined) <= rate.high
    with pytest.raises(InputError, match="100 pairs are judged already, and sample=60 is to be more"):
        hfneg.calibrate(mined, judge=rows, sample=60, out=tmp_path / "less.csv")
    with pytest.raises(InputError, match="judgments of whole anchors"):
        hfneg.calibrate(mined, judge=rows, complete=True, sample=300, out=tmp_path / "whole.csv")


# One setting, varied.

VALUES = [0.02, 0.05, 0.1, 0.25, 0.5]


@pytest.fixture(scope="module")
def curve(
    mined: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[dict[str, Any]], hfneg.review.calibrate.calibrate.Calibration]:
    out = tmp_path_factory.mktemp("curve") / "sample.jsonl"
    hfneg.calibrate(mined, sample=400, out=out, vary=LIMIT, values=VALUES)
    rows = judged(out)
    return rows, hfneg.calibrate(mined, judge=rows, vary=LIMIT, values=VALUES, target=0.2, reference=HashEncoder())


def test_a_curve_holds_the_truth_of_every_setting(curve: Any, mined: Path, tmp_path: Path) -> None:
    """Each value's negatives are those that `reselect` gives; rates, yield and hardness are told of each."""
    found = curve[1]
    assert [one.value for one in found.settings] == VALUES
    for one in found.settings:
        out = tmp_path / str(one.value)
        hfneg.reselect(mined, settings=[f"{LIMIT}={one.value}"], out=out)
        assert one.negatives == len(negatives(out))
        assert one.negatives_per_anchor == pytest.approx(one.negatives / ANCHORS)
        assert one.false_negatives.low <= truth(out) <= one.false_negatives.high
        assert one.hardness is not None
        assert one.leak is not None
    assert [one.negatives for one in found.settings] == sorted(one.negatives for one in found.settings)


def test_a_value_is_chosen_on_one_half_and_told_on_the_other(curve: Any, mined: Path) -> None:
    """The two halves are all negatives of that value; the recipe fragment is what `reselect` and Recipe read."""
    found = curve[1]
    chosen = found.chosen
    assert chosen.chosen_on.high < 0.2
    (one,) = (one for one in found.settings if one.value == chosen.value)
    assert chosen.chosen_on.negatives + chosen.reported.negatives == one.negatives
    assert chosen.chosen_on.judged + chosen.reported.judged == one.false_negatives.judged
    assert hfneg.Recipe.from_yaml(chosen.recipe).filters == (hfneg.BelowPositives(chosen.value),)
    harder = [one.hardness.mean for one in found.settings if one.value > chosen.value]
    tried = hfneg.calibrate(mined, judge=curve[0], vary=LIMIT, values=[chosen.value], target=0.2)
    assert tried.chosen is not None
    assert tried.chosen.value == chosen.value
    assert not harder or chosen.value < VALUES[-1]


def test_usual_values_are_of_the_last_limit(mined: Path, curve: Any) -> None:
    """With a target alone the last filter's limit is varied, by its usual values."""
    found = hfneg.calibrate(mined, judge=curve[0], target=0.3)
    assert found.varied == "filters.0.quantile"
    assert [one.value for one in found.settings] == [0.02, 0.05, 0.1, 0.25, 0.5]
    same = hfneg.calibrate(mined, judge=curve[0], vary=LIMIT)
    assert [one.false_negatives for one in same.settings] == [one.false_negatives for one in found.settings]


def test_a_target_out_of_reach_is_no_choice(mined: Path, sampled: list[dict[str, Any]]) -> None:
    """Too few judgments for it, even were none relevant: nothing is chosen, and how many it takes is said."""
    found = hfneg.calibrate(mined, judge=sampled, vary=LIMIT, values=[0.02, 0.1], target=0.01)
    assert found.chosen is not None
    assert found.chosen.value is None
    assert any("368 independent judgments on each half" in warning for warning in found.warnings)


def test_a_lazy_ledger_says_how_many_scores_are_missing(tmp_path: Path, texts: list[str]) -> None:
    """The rate of the run itself needs none of them; a stricter limit does."""
    source = mine(tmp_path / "mined", texts, sampler=hfneg.TakeTop(3))
    assert hfneg.calibrate(source).false_negatives.negatives > 0
    with pytest.raises(NeedsTeacher, match=r"at least [\d,]+ pairs of [\d,]+ of 120 anchors"):
        hfneg.calibrate(source, vary=LIMIT, values=[0.01])


# Hardness.


def test_hardness_is_the_mean_difference(mined: Path, texts: list[str]) -> None:
    """Of every negative that is not relevant, against plain Python, where all is judged and nothing is left out."""
    found = hfneg.calibrate(mined, judge=qrels(texts, range(ANCHORS)), reference=HashEncoder())
    encoder = HashEncoder()

    def vector(text: str) -> Any:
        values = encoder.encode([text])[0]
        return values / np.linalg.norm(values)

    differences = [
        float(vector(f"What of topic{query[1:]}") @ (vector(text) - vector(texts[int(query[1:]) * EACH])))
        for query, _, text in negatives(mined)
        if not relevant(text)
    ]
    assert found.hardness is not None
    assert found.hardness.truth_known
    assert found.hardness.mean == pytest.approx(np.mean(differences), abs=1e-5)
    assert found.hardness.low < found.hardness.mean < found.hardness.high


# What comes out.


def test_the_result_is_data(curve: Any) -> None:
    """`to_json` is what `to_dict` holds, without NaN; the width is printed."""
    found = curve[1]
    facts = json.loads(found.to_json())
    assert facts["false_negatives"]["rate"] == found.false_negatives.rate
    assert facts["width"] == pytest.approx(found.false_negatives.high - found.false_negatives.low)
    assert len(facts["settings"]) == len(VALUES)
    assert facts["chosen"]["value"] == found.chosen.value


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, ["calibrate", *words])
    return done.exit_code, done.output


def test_the_command_says_it_all(mined: Path, tmp_path: Path) -> None:
    """Sample, judge, choose, as a table and as JSON; a picture is written."""
    pytest.importorskip("matplotlib")
    sample, picture = tmp_path / "sample.jsonl", tmp_path / "curve.png"
    vary = ("--vary", LIMIT, "--values", "0.05, 0.1,0.5")
    code, shown = run(str(mined), "-q", "--sample", "300", "--out", str(sample), *vary)
    assert code == 0
    assert "300 pairs to judge written to" in shown
    rows = judged(sample)
    sample.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = (str(mined), "-q", "--judge", str(sample), *vary, "--target", "0.3", "--plot", str(picture))
    code, shown = run(*words)
    assert code == 0, shown
    for part in ("false negatives, P(relevant | mined):", "by a judged sample", "width", "leak", "BelowPositives("):
        assert part in shown
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    code, shown = run(*words, "--json")
    assert code == 0
    assert json.loads(shown)["varied"] == LIMIT
    assert run(str(mined), "-q", "--judge", str(tmp_path / "none.csv"))[0] == 2
    assert run(str(mined), "-q", "--sample", "300", "--out", str(sample))[0] == 3


def test_a_picture_without_settings(mined: Path, sampled: list[dict[str, Any]], tmp_path: Path) -> None:
    """Of the strata where a sample was judged, of the shifts where nothing was."""
    pytest.importorskip("matplotlib")
    for name, judge in (("judged", sampled), ("not", None)):
        hfneg.calibrate(mined, judge=judge, plot=tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 5_000


def test_a_picture_names_its_extra(mined: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without matplotlib: refused before anything is read, with what to install."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"hfneg\[plots\]"):
        hfneg.calibrate(mined, plot=tmp_path / "curve.png")


# Bad input.


def row(query: str = "q0", document: str = "doc1", **more: Any) -> dict[str, Any]:
    return {"query_id": query, "docid": document, "relevance": 0, **more}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sample": 3}, SettingError, "at least 6"),
        ({"sample": 50}, SettingError, r"\.jsonl, \.csv, \.parquet"),
        ({"sample": 50, "out": "none/here/sample.csv"}, OutputError, "there is no folder"),
        ({"target": 1.5}, SettingError, "above 0 and below 1"),
        ({"values": [0.1]}, SettingError, "vary="),
        ({"vary": "filters.margin.relative", "values": [0.1]}, RecipeError, "no step 'margin'"),
        ({"vary": "k", "values": [5]}, RecipeError, "mine again"),
        ({"vary": "sampler.n"}, SettingError, "needs values"),
        ({"plot": "curve.gif"}, SettingError, r"\.png"),
        ({"seed": -1}, SettingError, "seed=-1"),
        ({"judge": 5}, InputError, "cannot read judgments from a int"),
        ({"judge": [{"query_id": "q0", "docid": "doc1"}]}, ColumnError, "no column of relevance"),
        ({"judge": [{"query_id": "q0", "relevance": 1}]}, ColumnError, "no column of documents"),
        ({"judge": {"q0": "doc1"}}, InputError, "expected"),
        ({"judge": [row(relevance="maybe")] * 9}, InputError, "9 of 9 judgments have other labels .*'maybe'"),
        ({"judge": [row("other", "doc1")] * 9}, InputError, "0 of their anchors and 9 of their documents"),
        ({"judge": [row("q0", "doc500")] * 9}, InputError, "none of the 9 judged pairs was mined here"),
        ({"judge": "none.csv"}, InputError, "no file"),
    ],
)
def test_bad_input_is_refused(
    options: dict[str, Any], error: type[Exception], message: str, mined: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """With a typed error, and nothing written."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        hfneg.calibrate(mined, **options)
    assert list(tmp_path.iterdir()) == []


def test_too_few_judgments_are_counted(mined: Path, sampled: list[dict[str, Any]], texts: list[str]) -> None:
    """How many there are, and how many are needed for an upper end below a half: 6 pairs, or 6 groups of anchors."""
    with pytest.raises(InputError, match=r"5 mined pairs are judged; at least 6 are needed"):
        hfneg.calibrate(mined, judge=sampled[:5])
    with pytest.raises(InputError, match=r"\d groups of anchors that share no positive are judged; at least 6"):
        hfneg.calibrate(mined, judge=qrels(texts, range(4)))
    assert hfneg.calibrate(mined, judge=sampled[:6]).false_negatives.high > 0.3


def test_too_few_positives_for_a_bound(tmp_path: Path) -> None:
    """47 scores make a distribution known within 0.2; with fewer a judged sample is asked for, and still written."""
    texts = documents()
    teacher = hfneg.FunctionTeacher(told, id="few", scale="probability")
    few = hfneg.Recipe(k=EACH, teacher=teacher, filters=[hfneg.BelowPositives(0.1)], sampler=hfneg.TakeTop(5))
    hfneg.mine(pairs(texts).select(range(20)), texts, few, anchor="query", positive="answer", out=tmp_path / "mined")
    with pytest.raises(InputError, match=r"20 known positives have a score, and at least 47 are needed"):
        hfneg.calibrate(tmp_path / "mined")
    written = hfneg.calibrate(tmp_path / "mined", sample=20, out=tmp_path / "sample.csv")
    assert written.sample is not None
    assert (written.false_negatives.rate, written.false_negatives.high) == (None, 1.0)


def test_folders_that_cannot_be_calibrated(mined: Path, tmp_path: Path, texts: list[str]) -> None:
    """No mined folder, one without its ledger, one without negatives."""
    with pytest.raises(InputError, match="is no mined folder"):
        hfneg.calibrate(tmp_path)
    shutil.copytree(mined, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "ledger")
    with pytest.raises(InputError, match=r"is damaged .it is missing"):
        hfneg.calibrate(tmp_path / "copy")
    with pytest.raises(EmptyInputError, match="no negatives"):
        hfneg.calibrate(mine(tmp_path / "empty", texts, filters=[hfneg.Band(high=-1.0)]))


def test_the_reference_is_neither_miner_nor_teacher(tmp_path: Path, texts: list[str]) -> None:
    """A model that the recipe names is refused."""
    source = mine(tmp_path / "mined", texts)
    recipe = mined_folder.open_summary(source)["recipe"]
    mined_folder.record(source, recipe=f"{recipe}# Dense(model='org/miner')\n")
    with pytest.raises(SettingError, match="took part in the mining"):
        hfneg.calibrate(source, reference="org/miner")


def test_nothing_of_the_folder_changes(mined: Path, sampled: list[dict[str, Any]]) -> None:
    """Calibrating only reads."""
    before = {path: path.stat().st_mtime_ns for path in mined.rglob("*")}
    hfneg.calibrate(mined, judge=pa.Table.from_pylist(sampled).to_pylist())
    assert {path: path.stat().st_mtime_ns for path in mined.rglob("*")} == before


def test_the_rate_is_recorded_for_the_card(mined: Path, sampled: list[dict[str, Any]], tmp_path: Path) -> None:
    """record: summary and card say it, rows and ledger stay as they are, and a result without judgments claims none."""
    copy = tmp_path / "copy"
    shutil.copytree(mined, copy)
    before = {path: path.read_bytes() for path in copy.rglob("*.parquet")}
    assert "was not measured" in (copy / "README.md").read_text()
    judged = [{**row, "relevance": int(relevant(row["document"]))} for row in sampled]
    found = hfneg.calibrate(copy, judge=judged, record=True)
    rate, ends = found.false_negatives.rate, (found.false_negatives.low, found.false_negatives.high)
    assert rate is not None
    assert found.in_words.startswith(f"{rate:.1%} (95% interval {ends[0]:.1%} to {ends[1]:.1%}; judged sample, ")
    assert f"Estimated rate of false negatives: {found.in_words}." in (copy / "README.md").read_text()
    assert hfneg.open_summary(copy)["calibration"] == found.in_words
    assert {path: path.read_bytes() for path in copy.rglob("*.parquet")} == before
    assert datasets.load_dataset(str(copy), split="train").num_rows == ANCHORS
    assert hfneg.calibrate(mined).in_words.startswith("at most ")
