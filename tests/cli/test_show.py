"""`hfneg show`: anchors of a mined folder in the terminal."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import datasets
import pytest
from datasets import Dataset
from rich.console import Console
from typer.testing import CliRunner

import hfneg
from hfneg import cli
from hfneg.base.plain_text import plain
from hfneg.cli.printing import anchors
from hfneg.errors import InputError, SettingError
from hfneg.runs.folder.browse import browse

TEXTS = [f"Page {i}\nThe fault number {i} slips along a plane, wave {i % 7} [bold]{i}[/bold]." for i in range(60)]
ASKED = [f"Which fault is number {i}?" for i in range(20)]


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("show") / "mined"
    corpus = hfneg.Corpus.from_texts([*TEXTS, TEXTS[0].upper(), "\x1b[31mred\x07 fault number 3"])
    rows = Dataset.from_dict({"q": [*ASKED, "which FAULT is number 0?"], "a": [*TEXTS[:20], TEXTS[20]]})
    recipe = hfneg.Recipe(k=30, filters=[hfneg.RankWindow(skip=3)], sampler=hfneg.TakeTop(4))
    hfneg.mine(rows, corpus, recipe, anchor="q", positive="a", out=folder)
    return folder


def command(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, ["show", *map(str, words)])
    return done.exit_code, done.output


def test_every_document_is_as_the_ledger_has_it(mined: Path) -> None:
    """Positives, negatives by rank with their scores, then the first that were rejected."""
    (anchor,) = browse(mined, anchor=ASKED[5]).anchors
    ledger = {row["anchor"]: row for row in datasets.load_dataset(str(mined), "ledger", split="anchors")}
    names = hfneg.open_summary(mined)["verdict_codes"]
    entry = ledger[ASKED[5]]
    of_row = dict(zip(entry["rows"], zip(entry["verdicts"], entry["scores"], range(1, 99), strict=False), strict=True))
    assert [each.text for each in anchor.positives] == [TEXTS[5]]
    assert [each.verdict for each in anchor.candidates].count("selected") == 4
    corpus = hfneg.Corpus(hfneg.open_summary(mined)["corpus"])
    for each in anchor.candidates:
        (row,) = corpus.rows_of_ids([each.id])
        code, score, rank = of_row[int(row)]
        assert (each.verdict, each.rank, each.sources) == (names[str(code)], rank, ("bm25",))
        assert each.score == pytest.approx(score, rel=1e-3)
        assert each.text == corpus.texts([row])[0].as_py()
    order = [(each.verdict != "selected", each.rank) for each in anchor.candidates]
    assert order == sorted(order)


def test_an_anchor_is_found_by_its_normal_form_or_by_a_part(mined: Path) -> None:
    """Equal texts go before those that have it in them; how many there are is said."""
    assert [each.text for each in browse(mined, anchor=" WHICH fault is number 7? ").anchors] == [ASKED[7]]
    some = browse(mined, anchor="number 1", n=3)
    assert [each.text for each in some.anchors] == [ASKED[1], ASKED[10], ASKED[11]]
    assert some.matches == 11
    assert len(browse(mined, n=4).anchors) == 4
    with pytest.raises(InputError, match="has no anchor whose text is or has 'volcano'"):
        browse(mined, anchor="volcano")


def test_one_verdict(mined: Path) -> None:
    """Only anchors that have it, and of those only such candidates; of an unknown one the known are listed."""
    found = browse(mined, verdict="near_positive", n=9)
    assert [each.text for each in found.anchors] == [ASKED[0]]
    assert {each.verdict for each in found.anchors[0].candidates} == {"near_positive"}
    every = browse(mined, verdict="rank_window", anchor="number 4")
    assert {each.verdict for each in every.anchors[0].candidates} == {"rank_window"}
    assert (
        len(every.anchors[0].candidates) + every.anchors[0].left_out == 2
    )  # of the first three, which has the positive
    with pytest.raises(
        SettingError, match=r"no verdict 'rank_windo'; the candidates have selected \(80\).*'rank_window'"
    ):
        browse(mined, verdict="rank_windo")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_terminal(mined: Path, width: int) -> None:
    """No line is wider than the terminal; texts are neither markup nor commands to it."""
    out = io.StringIO()
    anchors.show(Console(file=out, width=width), browse(mined, anchor=ASKED[3]))
    shown = out.getvalue()
    assert max(map(len, shown.splitlines())) <= width
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "Page 3: The" in shown or width == 60
    assert "rank_window: " in shown


def test_the_command(mined: Path) -> None:
    """Options reach it, and an unknown verdict ends it with exit code 2."""
    code, shown = command(mined, "--anchor", "number 1", "-n", 2)
    assert code == 0
    assert "2 of 11 anchors" in shown
    assert command(mined, "--verdict", "nothing")[0] == 2


def test_texts_are_plain() -> None:
    """Nothing that a terminal obeys, nor a mark that turns the direction of what follows; on one line."""
    assert plain("A title\nand \x1b[31mred\x07\r\n\u202etext [b]") == "A title: and  [31mred text [b]"


def test_the_store_has_lost_the_corpus(mined: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said; texts of negatives come from the rows."""
    monkeypatch.setenv("HFNEG_STORE", str(tmp_path / "store"))
    shutil.copytree(mined, tmp_path / "mined")
    code, shown = command(tmp_path / "mined", "--anchor", ASKED[3])
    assert code == 0
    assert "The store no longer has the corpus" in shown
    assert "Page " in shown
