"""How well a teacher tells known positives from candidates of like rank, and what is said where it does not."""

from __future__ import annotations

import json
import logging
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from judge import Judge
from small_collection import documents, pairs
from word_teacher import WordTeacher

import hfneg
from hfneg.runs.folder import fit

NAMES = {"anchor": "query", "positive": "answer"}
GUARDED = {"known_positive", "own_text", "near_positive", "repeat", "contained", "empty"}


def mined(out: Path, teacher: Any, **settings: Any) -> Any:
    how = {"retrievers": [hfneg.BM25()], "k": 60, "filters": [hfneg.Margin(relative=0.1)], **settings}
    recipe = hfneg.Recipe(**{"sampler": hfneg.TakeTop(4), **how}, teacher=teacher)
    hfneg.mine(pairs(150), documents(), recipe, out=out, missing="add", **NAMES)
    return hfneg.open_summary(out)["teacher"]


def below(value: float | None) -> float:
    return -math.inf if value is None or math.isnan(value) else value


def by_hand(folder: Path) -> tuple[dict[str, list[float]], int]:
    """Of each anchor that has pairs its share by each score, and all pairs, one after another."""
    facts = hfneg.open_summary(folder)
    sources = facts["sources"] if len(facts["sources"]) > 1 else []
    names = {"teacher": "teacher_scores", "score": "scores", **{source: f"{source}_scores" for source in sources}}
    shares: dict[str, list[float]] = {name: [] for name in names}
    count = 0
    for path in sorted((folder / "ledger").glob("*")):
        for row in pq.read_table(path).to_pylist():
            verdicts = [facts["verdict_codes"][str(code)] for code in row["verdicts"]]
            taught = dict(zip(row["positive_rows"], row["positive_teacher_scores"], strict=True))
            scores = {name: list(row[column]) for name, column in names.items()}
            searched = [i < row["searched_first"] and row["sources"][i] > 0 for i in range(len(verdicts))]
            known = [document in taught for document in row["rows"]]
            scores["teacher"] = [
                taught.get(document, score) for document, score in zip(row["rows"], scores["teacher"], strict=True)
            ]
            open_ = [i for i, name in enumerate(verdicts) if searched[i] and not known[i] and name not in GUARDED]
            examined = [i for i in open_ if row["teacher_scores"][i] is not None]
            own = []
            for i in (i for i in range(len(verdicts)) if known[i] and searched[i]):
                ahead, behind = [j for j in open_ if j < i], [j for j in open_ if j > i]
                following = ahead[-1] if ahead else behind[0] if behind else -1
                if following in examined:
                    own += [(i, j) for j in examined if (i + 1) / 2 <= j + 1 <= 2 * (i + 1)]
            count += len(own)
            for name, values in scores.items() if own else ():
                won = [
                    (below(values[i]) > below(values[j])) + (below(values[i]) == below(values[j])) / 2 for i, j in own
                ]
                shares[name].append(sum(won) / len(won))
    return shares, count


SOURCES = [hfneg.BM25(), hfneg.RandomDocuments()]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"retrievers": SOURCES, "k": 30},
        {"filters": [hfneg.RankWindow(skip=2), hfneg.Margin(relative=0.1)]},
        {"retrievers": SOURCES, "k": 12, "deeper": 30, "sampler": hfneg.TakeTop(8), "short": hfneg.Fill()},
        {"filters": [hfneg.BelowPositives(0.2)], "sampler": hfneg.TakeRandom(25, seed=3)},
    ],
    ids=["one source", "two sources", "without the top", "searched deeper and filled", "drawn"],
)
def test_shares_are_those_counted_by_hand(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean shares with their intervals, of anchors and pairs counted one by one; however the work is cut."""
    found = mined(tmp_path / "mined", WordTeacher(), **settings)["fit"]
    shares, count = by_hand(tmp_path / "mined")
    assert (found["anchors"], found["pairs"]) == (len(shares["teacher"]), count)
    assert found["anchors"] >= fit.ENOUGH
    assert set(found["by"]) == set(shares)
    for name, values in shares.items():
        middle, width = np.mean(values), 1.96 * np.std(values, ddof=1) / math.sqrt(len(values))
        expected = {"value": middle, "low": max(middle - width, 0), "high": min(middle + width, 1)}
        assert found["by"][name] == pytest.approx(expected, abs=1e-6)
    monkeypatch.setattr(fit, "PAIRS", 7)
    monkeypatch.setattr(fit, "BATCH", 11)
    again = fit.measured(tmp_path / "mined" / "ledger", tuple(hfneg.open_summary(tmp_path / "mined")["sources"]))
    assert json.loads(json.dumps(again)) == found


def upside_down() -> hfneg.FunctionTeacher:
    """Puts below the others what shares many words with the anchor: much worse than BM25."""
    return Judge(lambda anchor, document: 2 - WordTeacher().of(anchor, document)).teacher()


def test_a_teacher_that_does_not_fit_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In the log, the summary, the end of the command and the report: both numbers and what to do; its card has them,
    too. Of a teacher that fits only the numbers are shown."""
    with caplog.at_level(logging.WARNING, logger="hfneg"):
        found = mined(tmp_path / "bad", upside_down())["fit"]
    assert found["worse_than"] == "score"
    own, other = found["by"]["teacher"], found["by"]["score"]
    assert own["high"] < other["value"]
    line = next(record.message for record in caplog.records if "does not fit" in record.message)
    for part in (f"{own['value']:.1%}", f"bm25 above {other['value']:.1%}", "recipes/own_teacher", "--vary skip"):
        assert part in line
    assert f"{own['value']:.1%} of the candidates of like rank" in (tmp_path / "bad" / "README.md").read_text()
    page = hfneg.report(tmp_path / "bad", tmp_path / "bad.html").read_text()
    assert "does not fit" in page
    assert "Positives above candidates of like rank" in page
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="hfneg"):
        good = mined(tmp_path / "good", Judge(WordTeacher().of).teacher())["fit"]
    assert "by" in good
    assert "worse_than" not in good
    assert not [record for record in caplog.records if "does not fit" in record.message]
    assert "does not fit" not in hfneg.report(tmp_path / "good", tmp_path / "good.html").read_text()


def test_the_command_prints_it(tmp_path: Path) -> None:
    """`hfneg mine` ends with the shares of teacher and source, and with the warning."""
    from rich.console import Console

    from hfneg.cli import printing

    found = mined(tmp_path / "bad", upside_down())["fit"]
    console = Console(record=True, width=2_000)
    printing.summary(console, tmp_path / "bad", 1.0)
    text = console.export_text()
    assert f"candidates of like rank: teacher {found['by']['teacher']['value']:.1%} (95%: " in text
    assert "the teacher does not fit this data" in text


def test_where_nothing_is_known_nothing_is_said(tmp_path: Path) -> None:
    """With too few anchors the summary says why; a teacher that is not asked about positives has no such key."""
    out = tmp_path / "few"
    recipe = hfneg.Recipe(retrievers=[hfneg.BM25()], k=20, teacher=upside_down(), filters=[hfneg.Margin(relative=0.1)])
    hfneg.mine(pairs(20), documents(), recipe, out=out, missing="add", **NAMES)
    few = hfneg.open_summary(out)["teacher"]["fit"]
    assert few["anchors"] < fit.ENOUGH
    assert set(few) == {"anchors", "pairs", "not_said"}
    assert re.match(r"\d+ anchors have .* 30 are needed", few["not_said"])
    asks_not = Judge(WordTeacher().of).teacher(positives=False)
    assert "fit" not in mined(tmp_path / "none", asks_not, filters=[hfneg.Band(high=0.9, by="teacher")])


def test_examining_counts_anew(tmp_path: Path) -> None:
    """`examine` has more pairs, and its summary says what is known with them."""
    teacher = WordTeacher()
    before = mined(tmp_path / "mined", teacher)["fit"]
    after = hfneg.examine(tmp_path / "mined", teacher)["teacher"]["fit"]
    shares, count = by_hand(tmp_path / "mined")
    assert after["pairs"] == count > before["pairs"]
    assert after["by"]["teacher"]["value"] == pytest.approx(np.mean(shares["teacher"]), abs=1e-6)
