"""The tutorial runs from top to bottom in a fresh kernel, and what it says of its figures is so."""

from __future__ import annotations

import ast
import base64
import io
from typing import Any

import matplotlib.image
import nbformat
import pytest
from nbclient import NotebookClient
from places import RECIPES

NOTEBOOK = RECIPES / "tutorial" / "from_pairs_to_a_model.ipynb"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook with the outputs of this machine."""
    folder = tmp_path_factory.mktemp("tutorial")
    monkeypatch = pytest.MonkeyPatch()
    with monkeypatch.context() as patch:
        patch.setenv("HFNEG_STORE", str(folder / "store"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        notebook = nbformat.read(NOTEBOOK, 4)
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def data(notebook: Any, kind: str) -> list[Any]:
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [output.data[kind] for cell in cells for output in cell.outputs if kind in output.get("data", {})]


def figures(notebook: Any) -> dict[str, float]:
    """nDCG@10 by the last cell that tells it."""
    gains: dict[str, float] = ast.literal_eval(
        [text for text in data(notebook, "text/plain") if "with hard" in text][-1]
    )
    return gains


def test_training_on_hard_negatives_gains(ran: Any) -> None:
    """On held-out questions: more than the pairs alone, which are more than no training."""
    gains = figures(ran)
    assert list(gains) == ["untrained", "pairs alone", "with hard negatives"]
    assert gains["untrained"] + 0.1 < gains["pairs alone"] + 0.01 < gains["with hard negatives"]


def test_it_shows_rows_and_pictures(ran: Any) -> None:
    """The mined rows as a table with verdicts; two pictures with something on them."""
    (mined,) = [page for page in data(ran, "text/html") if "hfneg show mined-documentation" in page]
    assert "rank_window: " in mined
    for picture in data(ran, "image/png"):
        pixels = matplotlib.image.imread(io.BytesIO(base64.b64decode(picture)))
        assert pixels.std() > 0.05
    assert len(data(ran, "image/png")) == 2


def test_the_outputs_that_come_with_it_are_its_own(ran: Any) -> None:
    """Stored are the figures and pictures of a run like this one, and no texts of other people or paths."""
    stored = nbformat.read(NOTEBOOK, 4)
    assert len(data(stored, "image/png")) == 2
    assert data(stored, "text/html") == []
    assert [cell for cell in stored.cells for output in cell.get("outputs", []) if output.output_type == "stream"] == []
    for name, value in figures(stored).items():
        assert value == pytest.approx(figures(ran)[name], abs=0.08), f"{name}: run the notebook again and store it"
