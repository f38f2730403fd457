"""The aggregates of a mined folder: equal to a count in plain Python, whatever the blocks."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st
from properties import examples
from small_collection import documents, pairs
from word_teacher import WordTeacher

import hfneg
from hfneg.runs.folder import statistics as statistics_of
from hfneg.runs.folder.histogram import BINS, Histogram
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.folder.statistics import Statistics
from hfneg.steps.short import Fill

NAMES = {"anchor": "query", "positive": "answer"}
RECIPE = hfneg.Recipe(
    retrievers=[hfneg.BM25(), hfneg.RandomDocuments()],
    k=15,
    teacher=WordTeacher(),
    filters=[hfneg.RankWindow(skip=1), hfneg.Margin(relative=0.1)],
    sampler=hfneg.TakeTop(4),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources, and a teacher that was asked on demand."""
    out = tmp_path_factory.mktemp("statistics") / "mined"
    hfneg.mine(pairs(), documents(), RECIPE, out=out, **NAMES)
    return out


@pytest.fixture(scope="module")
def found(folder: Path) -> Statistics:
    return statistics_of.of(MinedLedger(folder))


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict[str, Any]]:
    """The ledger as Python objects."""
    return [row for path in sorted((folder / "ledger").glob("*")) for row in pq.read_table(path).to_pylist()]


def verdicts_of(folder: Path) -> dict[int, str]:
    return {int(code): name for code, name in hfneg.open_summary(folder)["verdict_codes"].items()}


def test_counts(folder: Path, found: Statistics, rows: list[dict[str, Any]]) -> None:
    """Verdicts, negatives per anchor, documents used and hubs are those of the ledger and of the summary."""
    names = verdicts_of(folder)
    facts = hfneg.open_summary(folder)
    chosen = [
        [row for row, code in zip(of["rows"], of["verdicts"], strict=True) if names[code] == "selected"] for of in rows
    ]
    assert {name: n for name, n in found.verdicts.items() if n} == Counter(
        names[c] for of in rows for c in of["verdicts"]
    )
    assert (found.anchors, found.candidates, found.negatives) == (
        facts["anchors"],
        facts["candidates"],
        facts["negatives"],
    )
    lengths = Counter(map(len, chosen))
    assert found.per_anchor == [lengths[n] for n in range(max(lengths) + 1)]
    uses = Counter(row for of in chosen for row in of)
    assert found.used == len(uses)
    expected = sorted(uses.items(), key=lambda item: (-item[1], item[0]))[: statistics_of.HUBS]
    assert [(hub.row, hub.anchors) for hub in found.hubs] == expected
    assert expected[0][1] > 1


def test_why_anchors_are_short(tmp_path: Path) -> None:
    """Those for which too few survive, also where random documents fill them, and what became of their candidates."""
    recipe = hfneg.Recipe(k=8, filters=[hfneg.RankWindow(skip=4)], sampler=hfneg.TakeTop(4), short=Fill())
    hfneg.mine(pairs(), documents(), recipe, out=tmp_path / "mined", **NAMES)
    found = statistics_of.of(MinedLedger(tmp_path / "mined"))
    names = verdicts_of(tmp_path / "mined")
    (path,) = (tmp_path / "mined" / "ledger").glob("*")
    fates = [[names[code] for code in row["verdicts"]] for row in pq.read_table(path).to_pylist()]
    short = [of for of in fates if of.count("selected") < 4]
    assert 0 < found.short == len(short) < len(fates)
    assert found.short_verdicts == Counter(name for of in short for name in of)
    assert found.short_verdicts["filled"] > 0
    counts = list(found.short_verdicts.values())
    assert counts == sorted(counts, reverse=True)


def test_scores_by_what_became_of_them(folder: Path, found: Statistics, rows: list[dict[str, Any]]) -> None:
    """Each group of each score holds the values of these candidates and no others; of the teacher what it examined."""
    names = verdicts_of(folder)
    expected: dict[tuple[str, str], list[float]] = defaultdict(list)
    for of in rows:
        for kind, own, known in (
            ("score", "scores", "positive_scores"),
            ("bm25", "bm25_scores", "bm25_positive_scores"),
            ("teacher", "teacher_scores", "positive_teacher_scores"),
        ):
            expected[kind, "positive"] += of[known]
            for value, code in zip(of[own], of["verdicts"], strict=True):
                group = statistics_of.group_of(names[code])
                if group != "positive" and value is not None and not math.isnan(value):
                    expected[kind, group].append(value)
    assert {group for kind, group in expected} == {"positive", "negative", "rejected", "left_over"}
    for (kind, group), values in expected.items():
        histogram = found.scores[kind][group]
        assert histogram.count == len(values)
        if values:
            assert histogram.mean == pytest.approx(float(np.mean(values)))
            assert (histogram.low, histogram.high) == (min(values), max(values))
    assert found.examined == sum(value is not None for of in rows for value in of["teacher_scores"])
    assert found.lazy
    assert found.scores["teacher"]["left_over"].count == 0


def test_hardness_by_source_and_rank(folder: Path, found: Statistics, rows: list[dict[str, Any]]) -> None:
    """A negative's score minus the mean of its anchor's positives, in the groups of its sources and its rank."""
    names = verdicts_of(folder)
    labels = {1: "1", 5: "2 to 5", 10: "6 to 10", 20: "11 to 20", 50: "21 to 50"}
    by_source, by_rank = defaultdict(list), defaultdict(list)
    for of in rows:
        for rank, (code, mask, score) in enumerate(
            zip(of["verdicts"], of["sources"], of["teacher_scores"], strict=True), 1
        ):
            if names[code] == "selected":
                value = score - float(np.mean(np.array(of["positive_teacher_scores"], dtype=np.float64)))
                by_source[{1: "bm25", 2: "random", 3: "bm25+random"}[mask]].append(value)
                by_rank[labels[min(last for last in labels if last >= rank)]].append(value)
    hardness = found.hardness["teacher"]
    for histograms, groups in ((hardness.by_source, by_source), (hardness.by_rank, by_rank)):
        assert set(groups) == set(histograms)
        for name, values in groups.items():
            assert histograms[name].count == len(values)
            assert histograms[name].mean == pytest.approx(float(np.mean(values)))
    assert hardness.of_all.count == found.negatives
    assert set(found.hardness) == {"bm25", "random", "teacher"}  # a fused score has no such meaning


def test_blocks_make_no_difference(folder: Path, found: Statistics) -> None:
    """One anchor at a time, in reverse order, gives equal numbers."""
    ledger = MinedLedger(folder)
    collector = statistics_of.Collector(ledger)
    for block in reversed(list(ledger.blocks(candidates=1))):
        collector.add(block)
    assert rounded(collector.finish().as_dict()) == rounded(found.as_dict())


def test_statistics_survive_json(found: Statistics) -> None:
    """`from_dict` takes back what `as_dict` gives, through JSON."""
    text = json.dumps(found.as_dict(), allow_nan=False)
    assert Statistics.from_dict(json.loads(text)).as_dict() == found.as_dict()
    assert len(text) < 200_000


def rounded(value: Any) -> Any:
    """Sums in another order differ in the last bits."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 9) if isinstance(value, float) else value


# The histogram.

VALUES = st.lists(st.floats(-1e9, 1e9, width=32) | st.floats(-1, 1, width=32) | st.just(math.nan), max_size=60)


@examples(80)
@given(values=VALUES, cut=st.integers(0, 60), later=VALUES)
def test_order_and_parts_make_no_difference(values: list[float], cut: int, later: list[float]) -> None:
    """Values counted at once, in parts, backwards, or joined from two histograms lie in the same bins."""
    whole, parts, joined, other = Histogram(), Histogram(), Histogram(), Histogram()
    whole.add(values + later)
    for some in (later[::-1], values[cut:], values[:cut]):
        parts.add(some)
    joined.add(values)
    other.add(later)
    joined.merge(other)
    for histogram in (parts, joined):
        for name in ("exponent", "start", "missing", "low", "high"):
            assert getattr(histogram, name) == getattr(whole, name)
        assert histogram.counts.tolist() == whole.counts.tolist()
    known = [value for value in values + later if not math.isnan(value)]
    assert whole.count == len(known)
    assert whole.missing == len(values) + len(later) - len(known)
    assert len(whole.counts) <= BINS


@examples(80)
@given(values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60), q=st.floats(0, 1))
def test_quantiles_are_as_exact_as_a_bin(values: list[float], q: float) -> None:
    """A quantile lies within a bin of the value that has its place among the sorted ones."""
    histogram = Histogram()
    histogram.add(values)
    exact = sorted(values)[max(math.ceil(q * len(values)) - 1, 0)]
    assert abs(histogram.quantile(q) - exact) <= histogram.width
