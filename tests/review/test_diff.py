"""`hfneg.diff` and ``hfneg diff``: what became of a round's negatives, against a count in plain Python."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from command import hfneg as command, one_line
from datasets import Dataset
from small_collection import documents, pairs
from training_small import PAIRS, TEXTS, static_model

import hfneg
from hfneg.base.hashing import normal_form
from hfneg.review.diff.result import FATES, Diff
from hfneg.steps.block.verdicts import SELECTED

NAMES = {"anchor": "query", "positive": "answer"}
FIRST = hfneg.Recipe(k=15, filters=[hfneg.RankWindow(skip=1)], sampler=hfneg.TakeTop(4))
SECOND = hfneg.Recipe(
    retrievers=[hfneg.BM25(k1=0.3, b=0.1)], k=4, filters=[hfneg.Margin(relative=0.02)], sampler=hfneg.TakeTop(1)
)


def mined(out: Path, recipe: hfneg.Recipe, rows: Any = None, corpus: Any = None) -> Path:
    hfneg.mine(pairs() if rows is None else rows, documents() if corpus is None else corpus, recipe, out=out, **NAMES)
    return out


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mined(tmp_path_factory.mktemp("diff") / "round-001", FIRST)


@pytest.fixture(scope="module")
def second(first: Path) -> Path:
    return mined(first.parent / "round-002", SECOND)


@pytest.fixture(scope="module")
def found(first: Path, second: Path) -> Diff:
    return hfneg.diff(first, second)


def ledger_of(folder: Path) -> dict[str, list[tuple[int, str]]]:
    """Anchor -> (row, verdict) in rank order."""
    names = hfneg.open_summary(folder)["verdict_codes"]
    (path,) = (folder / "ledger").glob("*.parquet")
    return {
        normal_form(of["anchor"]): [(row, names[str(c)]) for row, c in zip(of["rows"], of["verdicts"], strict=True)]
        for of in pq.read_table(path).to_pylist()
    }


def rank_of_positive(candidates: list[tuple[int, str]]) -> float:
    return next((i for i, (_, verdict) in enumerate(candidates, 1) if verdict == "known_positive"), float("inf"))


def oracle(a: Path, b: Path) -> dict[str, Any]:
    """Fates, and where the positives are."""
    old, new = ledger_of(a), ledger_of(b)
    fates, rejected, above, fell = Counter(dict.fromkeys(FATES, 0)), Counter(), 0, 0
    for anchor, candidates in old.items():
        verdicts, ranks = dict(new[anchor]), {row: i for i, (row, _) in enumerate(new[anchor], 1)}
        lowest = max((ranks[row] for row, verdict in new[anchor] if verdict == "selected"), default=0)
        for rank, (row, verdict) in enumerate(candidates, 1):
            if verdict != "selected":
                continue
            now = verdicts.get(row)
            if now is None:
                fate = "not_found"
            elif now == "selected":
                fate = "stayed"
            elif now == "known_positive":
                fate = "positive"
            elif now in ("spare", "not_examined"):
                fate = "below_all" if ranks[row] > lowest else "passed_over"
            else:
                fate = "rejected"
                rejected[now] += 1
            fates[fate] += 1
            if rank < rank_of_positive(candidates):
                above += 1
                fell += ranks.get(row, 10**6) > rank_of_positive(new[anchor])
    moved = [(rank_of_positive(old[anchor]), rank_of_positive(new[anchor])) for anchor in old]
    return {"fates": fates, "rejected": rejected, "above": above, "fell": fell, "moved": moved}


def test_fates_against_plain_python(first: Path, second: Path, found: Diff) -> None:
    """Every negative of the first round has one fate, and it is the right one."""
    expected = oracle(first, second)
    assert found.fates == expected["fates"]
    assert found.rejected_by == expected["rejected"]
    assert sum(found.fates.values()) == found.negatives == hfneg.open_summary(first)["negatives"]
    assert found.stayed == pytest.approx(expected["fates"]["stayed"] / found.negatives)
    assert found.easy == pytest.approx(
        (expected["fates"]["below_all"] + expected["fates"]["not_found"]) / found.negatives
    )
    assert found.new_negatives == hfneg.open_summary(second)["negatives"] - found.fates["stayed"]
    assert {"stayed", "not_found", "below_all", "rejected"} <= {name for name, n in found.fates.items() if n}


def loss(positives: list[float], negatives: list[float]) -> float:
    mean = sum(positives) / len(positives)
    return math.log(1 + sum(math.exp(20 * (negative - mean)) for negative in negatives))


def test_loss_on_the_negatives_against_plain_python(tmp_path: Path) -> None:
    """With two models: of the earlier negatives under both, with the lowest score of a list for those not in it, and
    of the new ones. Nothing is said of BM25, whose scores are no cosines."""
    folders, tables = [], []
    for seed in (1, 2):
        retrievers = [hfneg.BM25(), hfneg.Dense(static_model(seed))]
        recipe = hfneg.Recipe(retrievers=retrievers, k=10, sampler=hfneg.TakeTop(4))
        folders.append(tmp_path / f"round-00{seed}")
        hfneg.mine(PAIRS, TEXTS, recipe, out=folders[-1], **NAMES)
        (path,) = (folders[-1] / "ledger").glob("*.parquet")
        tables.append({of["anchor"]: of for of in pq.read_table(path).to_pylist()})
    expected = []
    for anchor, then in tables[0].items():
        now = tables[1][anchor]
        known = {row: score for row, score in zip(now["rows"], now["dense_scores"], strict=True) if score is not None}
        known = {row: score for row, score in known.items() if not math.isnan(score)}
        picked = [
            [
                (row, score)
                for row, score, code in zip(of["rows"], of["dense_scores"], of["verdicts"], strict=True)
                if code == SELECTED
            ]
            for of in (then, now)
        ]
        lowest = [min(s for s in of["dense_scores"] if s is not None and not math.isnan(s)) for of in (then, now)]
        own = [
            [floor if score is None or math.isnan(score) else score for _, score in rows]
            for rows, floor in zip(picked, lowest, strict=True)
        ]
        carried = [known.get(row, lowest[1]) for row, _ in picked[0]]
        expected.append(
            [
                loss(then["dense_positive_scores"], own[0]),
                loss(now["dense_positive_scores"], carried),
                loss(now["dense_positive_scores"], own[1]),
            ]
        )
    means = [sum(column) / len(expected) for column in zip(*expected, strict=True)]
    found = hfneg.diff(*folders)
    assert list(found.losses) == ["dense"]
    losses = found.losses["dense"]
    assert [losses.before, losses.after, losses.new] == pytest.approx(means, abs=1e-5)
    assert losses.after < losses.before  # another model finds other documents hard
    assert one_line(command("diff", *folders, "-q")).count("loss on then's negatives (dense)") == 1


def test_positives_against_plain_python(first: Path, second: Path, found: Diff) -> None:
    """Where the best positive of each anchor moved, and which negatives fell below it."""
    expected = oracle(first, second)
    moved = expected["moved"]
    assert found.positives.anchors == len(moved)
    assert found.positives.up == sum(now < then for then, now in moved)
    assert found.positives.down == sum(now > then for then, now in moved)
    assert found.positives.mrr == pytest.approx([sum(1 / pair[i] for pair in moved) / len(moved) for i in (0, 1)])
    assert found.positives.within[10] == [sum(pair[i] <= 10 for pair in moved) for i in (0, 1)]
    assert (found.above_positive, found.fell_below_positive) == (expected["above"], expected["fell"])
    assert found.above_positive > found.fell_below_positive > 0


def test_order_of_anchors_and_documents_makes_no_difference(first: Path, tmp_path: Path, found: Diff) -> None:
    """Shuffled pairs, other spelling of an anchor, and a larger corpus in another order: matched by text."""
    rows = pairs().shuffle(seed=3).map(lambda row: {"query": f" {row['query']} "})
    texts = [*reversed(documents()), "a document that no query finds 123"]
    other = hfneg.diff(first, mined(tmp_path / "shuffled", FIRST, rows, texts))
    same = hfneg.diff(first, first)
    assert other.shared_anchors == same.shared_anchors
    # Ties are broken by row, so some negatives change; they are not lost.
    assert other.fates["not_in_corpus"] == 0
    assert other.stayed > 0.6
    assert other.changed == ["corpus"]
    unshuffled = hfneg.diff(first, mined(tmp_path / "larger", FIRST, rows, [*documents(), "unheard of 123"]))
    assert unshuffled.stayed > 0.9
    assert unshuffled.changed == ["corpus"]


def test_a_document_that_is_gone(first: Path, tmp_path: Path) -> None:
    """A negative whose document the new corpus lacks is counted as that, not as easy."""
    (path,) = (first / "data").glob("*.parquet")
    used = Counter(text for row in pq.read_table(path)["hard_negatives"].to_pylist() for text in row)
    answers = set(pairs()["answer"])
    gone = next(text for text, _ in used.most_common() if text not in answers)
    other = mined(tmp_path / "less", FIRST, corpus=[text for text in documents() if text != gone])
    names = hfneg.open_summary(first)["verdict_codes"]
    corpus = hfneg.Corpus(hfneg.open_summary(first)["corpus"])
    (ledger,) = (first / "ledger").glob("*.parquet")
    expected = sum(
        names[str(code)] == "selected" and corpus.texts([row])[0].as_py() == gone
        for of in pq.read_table(ledger).to_pylist()
        for row, code in zip(of["rows"], of["verdicts"], strict=True)
    )
    assert hfneg.diff(first, other).fates["not_in_corpus"] == expected > 0


def test_other_anchors_are_left_out_and_said(first: Path, tmp_path: Path) -> None:
    """Only anchors that both have are compared, and the notes say how many there were."""
    rows = pairs()
    some = Dataset.from_list([*rows.to_list()[:20], {**rows[0], "query": "wave wave wave"}], features=rows.features)
    found = hfneg.diff(first, mined(tmp_path / "some", FIRST, some))
    assert 0 < found.shared_anchors < found.a.anchors
    assert "1 in some only" in found.notes[0]


# Advice.


def test_nothing_changed_means_stop(first: Path) -> None:
    """A round against itself: all stayed, stop, and the note says that the recipes are the same."""
    found = hfneg.diff(first, first)
    assert (found.stayed, found.churn, found.easy, found.new_negatives) == (1.0, 0.0, 0.0, 0)
    assert found.action == "stop" or found.short > 0.1
    assert hfneg.diff(first, first, short=1.0).action == "stop"
    assert "the same recipe" in " ".join(found.notes)


def test_the_rules_in_their_order(first: Path, second: Path) -> None:
    """Short anchors come first, then positives that fell, then what stayed."""
    assert hfneg.diff(first, second, short=0.0).action == "raise_k"
    fallen = hfneg.diff(first, second, short=1.0)
    assert fallen.positives.mrr[1] < 0.95 * fallen.positives.mrr[0]
    assert fallen.action == "check_training"
    risen = hfneg.diff(second, first, short=1.0)
    assert risen.positives.mrr[1] > risen.positives.mrr[0]
    assert risen.action == "another_round"
    assert risen.advice.startswith("another round is worth it")
    assert hfneg.diff(second, first, short=1.0, settled=risen.stayed).action == "stop"


# Bad input.


def test_refused(first: Path, tmp_path: Path) -> None:
    """Folders that are not mined, rounds without a common anchor, shares that are none."""
    with pytest.raises(hfneg.InputError, match="no mined folder"):
        hfneg.diff(first, tmp_path)
    with pytest.raises(hfneg.SettingError, match="settled=90"):
        hfneg.diff(first, first, settled=90)
    other = Dataset.from_dict({"query": ["unlike any"], "answer": [documents()[0]]})
    with pytest.raises(hfneg.EmptyInputError, match="no anchor in common"):
        hfneg.diff(first, mined(tmp_path / "other", FIRST, other))


def test_two_corpora_need_the_store(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same corpus needs no store; of two corpora both are needed, and the message names the one that is gone."""
    other = mined(tmp_path / "other", FIRST, corpus=[*documents(), "one more"])
    copy = shutil.copytree(first, tmp_path / "copy")
    monkeypatch.setenv("HFNEG_STORE", str(tmp_path / "empty"))
    assert hfneg.diff(first, copy).stayed == 1.0
    with pytest.raises(hfneg.InputError, match=r"the store lacks that of .*round-001"):
        hfneg.diff(first, other)


# The command.


def test_command(first: Path, second: Path, found: Diff) -> None:
    """The table names the fates and the rule; --json is the whole result and nothing else."""
    shown = one_line(command("diff", first, second, "-q"))
    assert f"{found.negatives:,} negatives of round-001" in shown
    assert FATES["not_found"] in shown
    assert "The rule: raise k where more than 10%" in shown
    facts = json.loads(command("diff", first, second, "--json", "-q"))
    assert facts["fates"] == found.fates
    assert facts["shares"]["stayed"] == round(found.stayed, 6)
    assert facts["action"] == found.action
    command("diff", first, second.parent, code=2)
