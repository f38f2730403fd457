"""A new step is one class: recipe, card, leak rate and sweep know it by what stands on it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_collection import documents, pairs

import hfneg
from hfneg.pipeline.recipe_text import STEPS
from hfneg.steps import papers
from hfneg.steps.block.pool import Pool
from hfneg.steps.papers import Paper

NAMES = {"anchor": "query", "positive": "answer"}
OWN = Paper("doe2026odd", "Doe, Jane and Roe, Richard", "On odd ranks", 2026, "Workshop on Ranks", "2601.00001")


@dataclass(frozen=True)
class NotFirst(hfneg.Filter):
    """Keeps what ranks behind the first `skip`."""

    skip: int = 1

    verdict = "among_first"
    meaning = "ranks among the first"
    uses_own_positives = False
    cites = (OWN,)

    def keep(self, pool: Pool) -> Any:
        return pool.ranks > self.skip

    def variations(self, positives: Any) -> tuple[str, Sequence[float]]:
        return "skip", (0, 1, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("own") / "mined"
    recipe = hfneg.Recipe(retrievers=hfneg.BM25(), k=12, filters=NotFirst(skip=2), sampler=hfneg.TakeTop(3))
    hfneg.mine(pairs(), documents(), recipe, out=out, **NAMES)
    return out


def test_the_recipe_is_read_back(folder: Path) -> None:
    recipe = hfneg.Recipe.load(folder / "recipe.yaml", trust=True)
    assert recipe.filters == (NotFirst(skip=2),)


def test_the_card_says_what_it_does_and_cites_it(folder: Path) -> None:
    """In a sentence, in the table of verdicts, in a line and for BibTeX."""
    card = (folder / "README.md").read_text()
    assert "Keeps what ranks behind the first `skip`." in card
    assert "among_first" in card
    assert "- Doe, Roe: On odd ranks. Workshop on Ranks 2026. arXiv:2601.00001." in card
    assert "@inproceedings{doe2026odd," in card


def test_the_rate_of_leaks_is_exact(folder: Path) -> None:
    """The filter looks at no positive of the anchor, so that the rate is one number, as with RankWindow."""
    own = hfneg.leak_rate(folder, trust=True)
    theirs = hfneg.leak_rate(folder, filters=hfneg.RankWindow(skip=2), trust=True)
    assert dataclasses.replace(own, policy="") == dataclasses.replace(theirs, policy="")
    assert own.exact is not None
    assert own.bracket is None


def test_its_limit_can_be_varied(folder: Path) -> None:
    """`calibrate` knows the setting and its values."""
    from hfneg.review.calibrate.varied import default

    recipe = hfneg.Recipe.load(folder / "recipe.yaml", trust=True)
    assert default(recipe, np.empty(0)) == ("filters.0.skip", (0, 1, 2))


def entries(text: str) -> list[tuple[str, str, dict[str, str]]]:
    """(kind, key, fields) of BibTeX whose values stand in braces, each on a line."""
    found = []
    for kind, key, body in re.findall(r"@(\w+)\{([^,]+),\n(.*?)\n\}", text, re.DOTALL):
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},$", body, re.MULTILINE))
        assert len(fields) == len(body.splitlines())
        found.append((kind, key, fields))
    return found


def test_papers_are_cited_whole() -> None:
    """Each has a key of its own, names, title, year, and a place where it can be found."""
    known = [paper for paper in vars(papers).values() if isinstance(paper, Paper)]
    assert {paper for step in STEPS.values() for paper in getattr(step, "cites", ())} == set(known)
    assert len({paper.key for paper in known}) == len(known)
    for paper in known:
        ((kind, key, fields),) = entries(paper.bibtex())
        assert key == paper.key
        assert fields["author"] == paper.authors
        assert fields["title"] == f"{{{paper.title}}}"
        assert ("booktitle" in fields) == (kind == "inproceedings") != ("journal" in fields)
        assert str(paper.year) in str(paper)
