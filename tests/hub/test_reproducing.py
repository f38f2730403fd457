"""A published round is made again over a loopback Hub: the same, nearly the same, or not; with the real clients.

Functions at the top run in the client's process (see hub_fixtures.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hub_fixtures import ANNA
from small_collection import documents, pairs
from training_small import static_model

import hfneg
from hfneg.errors import InputError, PublishError, RecipeError, SettingError

NAMES = {"anchor": "query", "positive": "answer"}
RECIPE = hfneg.Recipe(k=20, filters=[hfneg.RankWindow(skip=1)], sampler=hfneg.TakeRandom(4, seed=3))
Client = Callable[..., Any]


@dataclass(frozen=True)
class OddRows(hfneg.Filter):
    """A filter of the user's own."""

    verdict = "even_row"

    def keep(self, pool: Any) -> Any:
        return pool.rows % 2 == 1


def uploaded(name: str) -> str:
    """Pairs and corpus as a user would have them on the Hub; the commit."""
    import datasets

    rows = pairs().remove_columns(["topic", "level", "origin", "relevant"])
    rows.push_to_hub(name, "pairs")
    info = datasets.Dataset.from_dict({"text": documents()}).push_to_hub(name, "corpus")
    return str(info.oid)


def mined_from_hub(name: str, out: Path, recipe: hfneg.Recipe = RECIPE) -> None:
    import datasets

    rows = datasets.load_dataset(name, "pairs", split="train")
    corpus = hfneg.Corpus.from_dataset(datasets.load_dataset(name, "corpus", split="train"))
    hfneg.mine(rows, corpus, recipe, out=out, **NAMES)


def judged_on_hub(name: str) -> None:
    """BEIR's layout: configs corpus, queries, default."""
    import datasets

    texts = list(dict.fromkeys(documents()))
    corpus = [{"_id": f"d{i}", "title": "", "text": text} for i, text in enumerate(texts)]
    queries = [{"_id": f"q{i}", "text": text.split()[0] + f" {i}"} for i, text in enumerate(texts[:12])]
    qrels = [{"query-id": f"q{i}", "corpus-id": f"d{i}", "score": 1} for i in range(12)]
    datasets.Dataset.from_list(corpus).push_to_hub(name, "corpus", split="corpus")
    datasets.Dataset.from_list(queries).push_to_hub(name, "queries", split="queries")
    datasets.Dataset.from_list(qrels).push_to_hub(name, "default", split="train")


def mined_from_layout(name: str, out: Path) -> None:
    found = hfneg.load_pairs(name)
    hfneg.mine(found.rows, found.corpus, RECIPE, out=out, anchor=found.anchor, positive=found.positive)


def changed(name: str) -> None:
    """The source gets other rows; its old revision stays."""
    pairs().remove_columns(["topic", "level", "origin", "relevant"]).select(range(9)).push_to_hub(name, "pairs")


def on_command_line(*given: str) -> tuple[int, str]:
    from typer.testing import CliRunner

    from hfneg import cli

    done = CliRunner().invoke(cli.app, ["reproduce", *given])
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def published(hub_client: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Pairs and corpus from the Hub, mined and published."""
    folder = tmp_path_factory.mktemp("mined")

    def call(function: Any, *given: Any, **options: Any) -> Any:
        return hub_client.submit(function, *given, **options).result(timeout=120)

    call(uploaded, "org/own-source")
    call(mined_from_hub, "org/own-source", folder / "one")
    call(hfneg.publish, folder / "one", "org/made", license="mit")
    return "org/made"


def test_the_same_again_from_the_hub_alone(published: str, client: Client, tmp_path: Path) -> None:
    """One call, nothing but the id: sources at their revisions, although the source has changed since."""
    client(changed, "org/own-source")
    found = client(hfneg.reproduce, f"{published}@round-001", out=tmp_path / "again")
    assert (found.status, found.round, found.inputs_differ, found.versions) == ("identical", 1, [], {})
    code, output = client(on_command_line, published, "--out", str(tmp_path / "more"), "-q")
    assert code == 0, output
    assert output.startswith("identical: round 1 of org/made")


def test_a_layout_that_was_understood_is_understood_again(client: Client, tmp_path: Path) -> None:
    """BEIR's configs on the Hub: loaded, mined, published and made again."""
    client(judged_on_hub, "org/judged")
    client(mined_from_layout, "org/judged", tmp_path / "mined")
    client(hfneg.publish, tmp_path / "mined", "org/made-of-judged", license="mit")
    assert client(hfneg.reproduce, "org/made-of-judged", out=tmp_path / "again").status == "identical"


def test_local_data_and_a_local_model_are_given_again(client: Client, tmp_path: Path) -> None:
    """Nothing of a path is in the card: what did not come from the Hub is asked for by name, and its digest must be
    the one that the card has."""
    for name, seed in (("student", 0), ("other", 1)):
        static_model(seed).save_pretrained(str(tmp_path / name))
    dense = hfneg.Recipe(retrievers=hfneg.Dense(str(tmp_path / "student")), k=9, sampler=hfneg.TakeTop(3))
    hfneg.mine(pairs(), documents(), dense, out=tmp_path / "mined", **NAMES)
    client(hfneg.publish, tmp_path / "mined", "org/local", license="mit")
    data = {"pairs": pairs(), "corpus": hfneg.Corpus.from_texts(documents())}
    with pytest.raises(
        InputError, match=r"mined with the model 'student'.*--model student=PATH.*digest is [0-9a-f]{32}"
    ):
        client(hfneg.reproduce, "org/local", out=tmp_path / "a", **data)
    right, wrong = {"student": str(tmp_path / "student")}, {"student": str(tmp_path / "other")}
    with pytest.raises(InputError, match="the model of Dense is another one"):
        client(hfneg.reproduce, "org/local", out=tmp_path / "a", models=wrong, **data)
    with pytest.raises(InputError, match=r"has no local model of this name; it has student\. Did you mean 'student'"):
        client(hfneg.reproduce, "org/local", out=tmp_path / "a", models={"studnet": "x"}, **data)
    with pytest.raises(InputError, match=r"pairs and corpus that did not come from the Hub.*--pairs.*--corpus"):
        client(hfneg.reproduce, "org/local", out=tmp_path / "a", models=right)
    assert not (tmp_path / "a").exists()
    found = client(hfneg.reproduce, "org/local", out=tmp_path / "a", models=right, **data)
    assert found.status == "identical"


def test_other_pairs_or_another_corpus_come_out_different(published: str, client: Client, tmp_path: Path) -> None:
    """The share of rows and negatives that are the same, and which inputs differ; exit code 1."""
    rows = pairs().remove_columns(["topic", "level", "origin", "relevant"])
    other = hfneg.Corpus.from_texts([*documents(), "fault slip wave rock melt crust plate", "mantle tremor"])
    found = client(hfneg.reproduce, published, out=tmp_path / "a", pairs=rows, corpus=other)
    assert found.status == "different"
    assert not found.ok
    assert "anchors" in found.inputs_differ
    assert 0 < found.same_negatives < 1
    assert found.rows == len(rows)
    texts = tmp_path / "corpus.jsonl"
    texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*documents(), "fault slip wave"]))
    code, output = client(on_command_line, published, "--corpus", str(texts), "--out", str(tmp_path / "b"), "--json")
    assert code == 1, output
    assert json.loads(output)["status"] == "different"


def test_equal_within_tolerance(published: str, client: Client, tmp_path: Path) -> None:
    """The same negatives with scores that differ in the last bits are equal, and it is said by how much."""
    found = client(nudged, published, tmp_path / "a", 2e-6)
    assert found.status == "equal within tolerance"
    assert found.largest_difference == pytest.approx(2e-6, rel=0.5)
    assert client(nudged, published, tmp_path / "b", 1e-3).status == "different"


def nudged(repo: str, out: Path, by: float) -> Any:
    """Reproduce on a machine whose BM25 differs a little."""
    from unittest import mock

    from hfneg.steps.retrievers.bm25 import BM25Index

    real = BM25Index.search

    def search(self: Any, queries: Any, k: int) -> Any:
        scores, rows = real(self, queries, k)
        return scores + scores.dtype.type(by), rows

    with mock.patch.object(BM25Index, "search", search):
        return hfneg.reproduce(repo, out=out)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"repo": "org/none"}, PublishError, "there is no dataset 'org/none'"),
        ({"round": 7}, PublishError, "has no round 7; it has 1"),
        ({"tolerance": -1}, SettingError, "tolerance=-1"),
        ({"models": {"x": "y"}}, InputError, "it has none"),
    ],
)
def test_what_cannot_be_made_again(
    given: dict[str, Any], error: Any, message: str, published: str, client: Client, tmp_path: Path
) -> None:
    """Refused before any work, nothing written."""
    settings = dict(given)
    with pytest.raises(error, match=message):
        client(hfneg.reproduce, settings.pop("repo", published), out=tmp_path / "again", **settings)
    assert not (tmp_path / "again").exists()


def test_sources_that_are_gone(client: Client, tmp_path: Path) -> None:
    """Named with their revision, with the way out; and a component named by import path needs trust."""
    client(uploaded, "org/short-lived")
    client(mined_from_hub, "org/short-lived", tmp_path / "mined")
    client(hfneg.publish, tmp_path / "mined", "org/orphan", license="mit")
    client(deleted, "org/short-lived")
    with pytest.raises(InputError, match=r"came from org/short-lived at revision [0-9a-f]{40}.*--pairs"):
        client(hfneg.reproduce, "org/orphan", out=tmp_path / "again")
    own = hfneg.Recipe(k=20, filters=[OddRows()], sampler=hfneg.TakeTop(2))
    hfneg.mine(pairs(), documents(), own, out=tmp_path / "own", **NAMES)
    client(hfneg.publish, tmp_path / "own", "org/own", license="mit")
    data = {"pairs": pairs(), "corpus": hfneg.Corpus.from_texts(documents())}
    with pytest.raises(RecipeError, match="trust=True"):
        client(hfneg.reproduce, "org/own", out=tmp_path / "again", **data)
    assert client(hfneg.reproduce, "org/own", out=tmp_path / "again", trust=True, **data).status == "identical"


def deleted(name: str) -> None:
    """The repository, and what the client has kept of it."""
    import shutil

    import datasets
    from huggingface_hub import HfApi, constants

    HfApi(token=ANNA).delete_repo(name, repo_type="dataset")
    kept = name.replace("/", "___")
    shutil.rmtree(Path(datasets.config.HF_DATASETS_CACHE) / kept, ignore_errors=True)
    for folder in Path(constants.HF_HUB_CACHE).glob(f"*{name.replace('/', '--')}*"):
        shutil.rmtree(folder, ignore_errors=True)
