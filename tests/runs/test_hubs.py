"""`Hubs`: a document is the negative of at most so many anchors, those that rank it best."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, load_dataset
from hypothesis import given, strategies as st
from killed import Run, nth, result
from properties import examples
from scripted import Scripted, ranked
from small_collection import documents, ours, pairs

import hfneg
from hfneg.base import columns
from hfneg.errors import SettingError
from hfneg.pipeline import deeper as deepening
from hfneg.runs import hub_counts, units
from hfneg.runs.hub_counts import ENTRY, Cuts, save_array, write_cuts

TEXTS = [f"document{i} word{i * 7} term{i * 13} name{i * 29}" for i in range(20)]


def facts_of(out: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return facts


def mined(
    lists: list[dict[int, float]], out: Path, filters: Any, **slots: Any
) -> tuple[Dataset, list[dict[str, Any]], list[str]]:
    """(rows, ledger with verdicts as names, hash-ordered questions) for anchors with these lists; anchor i's positive
    is document i."""
    questions = [f"question {i}" for i in range(len(lists))]
    rows = Dataset.from_dict({"q": questions, "a": TEXTS[: len(lists)]})
    source = Scripted({q: ranked(found) for q, found in zip(questions, lists, strict=True)})
    # As a copy: whether lists of a few candidates can give what is asked is not looked at here.
    recipe = hfneg.Recipe(retrievers=source, filters=filters).model_copy(update=slots)
    got = hfneg.mine(rows, TEXTS, recipe, anchor="q", positive="a", out=out)
    codes = {int(code): name for code, name in facts_of(out)["verdict_codes"].items()}
    ledger = load_dataset(str(out), "ledger", split="anchors").to_list()
    for row in ledger:
        row["verdicts"] = [codes[code] for code in row["verdicts"]]
    return got, sorted(ledger, key=lambda row: questions.index(row["anchor"])), questions


def hashes_of(questions: list[str]) -> list[int]:
    from hfneg.base.hashing import hash_normal_forms

    return hash_normal_forms(questions).tolist()


def closed_of(lists: list[list[int]], places: list[int], hashes: list[int], left: dict[int, int]) -> list[list[bool]]:
    """Plain Python: per anchor and candidate, whether the document is kept for others; anchor i's list begins at rank
    ``places[i]``."""
    best: dict[int, list[tuple[int, int]]] = {}
    for i, rows in enumerate(lists):
        for rank, row in enumerate(rows, places[i]):
            if row != i:  # its positive
                best.setdefault(row, []).append((rank, hashes[i]))
    allowed = {row: sorted(keys)[: left[row]] for row, keys in best.items()}
    return [
        [row != i and (rank, hashes[i]) not in allowed[row] for rank, row in enumerate(rows, places[i])]
        for i, rows in enumerate(lists)
    ]


lists_of = st.lists(
    st.dictionaries(st.integers(0, 12), st.sampled_from([0.0, 0.5, 1.0, 2.0]), max_size=12), min_size=2, max_size=8
)


@examples(15)
@given(lists_of, st.integers(1, 4), st.integers(1, 5), st.none() | st.integers(1, 8))
def test_hubs_are_plain_python(
    tmp_path_factory: pytest.TempPathFactory, lists: list[dict[int, float]], most: int, k: int, more: int | None
) -> None:
    """Verdicts of the first search and of a deeper one by counting in plain Python; no document is the negative of more
    anchors than `most`, also when what a deeper search finds is used."""
    out = tmp_path_factory.mktemp("hubs") / "mined"
    steps = [hfneg.Hubs(most), hfneg.RankWindow(skip=1)]
    deeper = None if more is None else k + more
    rows, ledger, questions = mined(lists, out, steps, k=k, deeper=deeper, sampler=hfneg.TakeTop(3))
    hashes = hashes_of(questions)
    first = [row["rows"][: row["searched_first"]] for row in ledger]
    later = [row["rows"][row["searched_first"] :] for row in ledger]
    left = dict.fromkeys(range(20), most)
    for anchors, places in ((first, [1] * len(first)), (later, [len(found) + 1 for found in first])):
        closed = closed_of(anchors, places, hashes, left)
        for i, row in enumerate(ledger):
            verdicts = row["verdicts"][places[i] - 1 :][: len(anchors[i])]
            assert [name == "hub" for name in verdicts] == closed[i]
        used = Counter(row for i, found in enumerate(anchors) for row in found if row != i)
        left = {row: max(0, count - used[row]) for row, count in left.items()}
    times = Counter(text for row in rows for text in row[columns.NEGATIVES])
    assert max(times.values(), default=0) <= most


@examples(60)
@given(st.data(), st.integers(1, 6))
def test_cuts_are_plain_python_in_any_groups(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, held: int
) -> None:
    """From several tallies, sorted in groups of few entries or at once: the c best of each document, by its own c."""
    folder = tmp_path_factory.mktemp("cuts")
    entries = data.draw(
        st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4), st.integers(0, 2**64 - 1)), max_size=40)
    )
    entries = list({(row, hash_): (row, rank, hash_) for row, rank, hash_ in entries}.values())
    limits = data.draw(st.lists(st.integers(0, 4), min_size=6, max_size=6))
    tallies = []
    for i in range(3):
        tallies.append(folder / f"{i}.npy")
        save_array(tallies[-1], np.sort(np.array(entries[i::3], dtype=ENTRY), order="row"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub_counts, "HELD", held)
        write_cuts(tallies, np.array(limits, dtype=np.int32), 6, folder)
    cuts = Cuts(folder)
    for row in range(6):
        own = sorted((rank, hash_) for r, rank, hash_ in entries if r == row)
        assert cuts.left[row] == max(0, limits[row] - len(own))
        rows, ranks, hashes = (np.load(folder / f"{name}.npy") for name in ("rows", "ranks", "hashes"))
        at = np.flatnonzero(rows == row)
        assert len(at) == (len(own) > limits[row])
        if len(at) and limits[row]:
            assert (ranks[at[0]], hashes[at[0]]) == own[limits[row] - 1]
        elif len(at):
            assert ranks[at[0]] == 0


def test_relaxing_leaves_hubs_alone(tmp_path: Path) -> None:
    """What is kept for other anchors is not taken back, whichever filter has dropped it first."""
    lists = [{10: 3.0, 11: 2.0, 12: 1.0}] * 4
    steps = [hfneg.RankWindow(skip=3), hfneg.Hubs(2)]
    rows, ledger, _ = mined(lists, tmp_path / "out", steps, k=3, sampler=hfneg.TakeTop(3), short=hfneg.Relax())
    times = Counter(text for row in rows for text in row[columns.NEGATIVES])
    assert set(times.values()) == {2}
    assert {name for row in ledger for name in row["verdicts"]} == {"rank_window", "relaxed"}


def test_a_positive_takes_nobody_s_place(tmp_path: Path) -> None:
    """Anchor 0's own positive stands first in its list, and does not use up the document's one place."""
    lists = [{0: 3.0}, {5: 2.0, 0: 1.0}, {6: 2.0, 7: 1.5, 0: 1.0}]
    rows, _, _ = mined(lists, tmp_path / "out", hfneg.Hubs(1), k=3, sampler=hfneg.TakeTop(3))
    assert TEXTS[0] in rows[1][columns.NEGATIVES]
    assert TEXTS[0] not in rows[2][columns.NEGATIVES]


def test_parts_and_processes_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`mine` at once and in parts of 4, sorted in small groups, gives the same rows, no document too often."""
    recipe = hfneg.Recipe(
        k=15,
        deeper=60,
        filters=[hfneg.Hubs(2), hfneg.Margin(relative=0.3)],
        sampler=hfneg.TakeRandom(4),
        short=hfneg.Relax(),
    )

    def mine(out: Path) -> Any:
        return hfneg.mine(pairs(), documents(), recipe, anchor="query", positive="answer", out=out)

    whole = mine(tmp_path / "whole")
    monkeypatch.setattr(units, "PART", 4)
    monkeypatch.setattr(hub_counts, "HELD", 20)
    monkeypatch.setattr(deepening, "HELD", 100)
    assert ours(mine(tmp_path / "parts")) == ours(whole)
    facts = facts_of(tmp_path / "whole")
    assert facts["verdicts"]["hub"] > 100
    assert facts["deeper"]["candidates"] > 100
    ledger = load_dataset(str(tmp_path / "whole"), "ledger", split="anchors")
    codes = {int(code): name for code, name in facts["verdict_codes"].items()}
    taken = Counter(
        row
        for entry in ledger
        for row, code in zip(entry["rows"], entry["verdicts"], strict=True)
        if codes[code] in ("selected", "relaxed")
    )
    assert max(taken.values()) == 2


def test_map_refuses_and_names_mine() -> None:
    """A batch does not show all anchors: one step and two are refused, before anything is searched or asked."""
    source = Scripted({"question 0": [(5, 1.0)]})
    rows = Dataset.from_dict({"q": ["question 0"], "a": TEXTS[:1]})
    anchors = hfneg.Anchors(rows, hfneg.Corpus.from_texts(TEXTS), anchor="q", positive="a")
    recipe = hfneg.Recipe(retrievers=source, k=7, filters=hfneg.Hubs(5))
    with pytest.raises(SettingError, match=r"Hubs\(most=5\).*hfneg.mine"):
        rows.map(recipe.transform(anchors), batched=True)
    assert source.asked == []
    found = rows.map(hfneg.Retrieve(anchors, source, k=3), batched=True)
    with pytest.raises(SettingError, match=r"Hubs\(most=5\).*hfneg.mine"):
        found.map(hfneg.Select(anchors, filters=hfneg.Hubs(5)), batched=True)


# Killed and resumed.

STAGES = (
    "tally/first",
    "cuts/first",
    "examine",
    "tally/deeper",
    "cuts/deeper",
    "choose",
)
KILLED = ("cuts/first", "tally/deeper", "cuts/deeper")  # the others: test_deeper


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("undisturbed"), recipe_text())
    assert run.start() == 0, run.errors
    return run


def recipe_text() -> str:
    filters = [hfneg.Hubs(2), hfneg.Margin(relative=0.3)]
    recipe = hfneg.Recipe(k=8, deeper=50, filters=filters, sampler=hfneg.TakeRandom(4), short=hfneg.Fill())
    return recipe.to_yaml()


def test_killed_while_hubs_are_counted(undisturbed: Run, tmp_path: Path) -> None:
    """SIGKILL at the beginning of a unit of each counting stage, resumed after each: the folder of an undisturbed run,
    equal in every value, and no finished unit done twice."""
    run = Run(tmp_path, undisturbed.recipe)
    assert {stage for unit in undisturbed.units("end") for stage in STAGES if unit.startswith(stage)} == set(STAGES)
    for stage in KILLED:
        assert run.start(nth(stage, 1)) != 0
    assert run.start() == 0, run.errors
    run.check_no_work_twice(len(KILLED))
    assert result(run.out) == result(undisturbed.out)
    facts = facts_of(run.out)
    assert facts["verdicts"]["hub"] > 50
    assert facts["deeper"]["candidates"] > 50
    assert facts["short"]["filled"] > 5
