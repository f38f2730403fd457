"""What pyproject.toml asks for is what the package uses, and an extra that is not installed is said before any work."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as canonical
from places import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WORKFLOWS = ROOT / ".github" / "workflows"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
FOR_USERS = [extra for extra in EXTRAS if extra not in ("test", "demo")]
OF_OTHERS = {"multiprocess"}
"""Imported where a library of theirs has loaded it, so that it is there."""


def asked_for(extras: list[str]) -> dict[str, Requirement]:
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    return {canonical(one.name): one for one in map(Requirement, lines)}


def imported() -> set[str]:
    """Modules of others that hfneg imports anywhere, inside functions too."""
    found: set[str] = set()
    for path in (ROOT / "hfneg").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(str(node.module).split(".")[0])
    return found - set(sys.stdlib_module_names) - {"hfneg"}


def test_what_is_imported_is_asked_for() -> None:
    """Each module of others comes from a package that is a requirement itself, not only one of a requirement."""
    homes = importlib.metadata.packages_distributions()
    for module in imported() - OF_OTHERS:
        assert {canonical(name) for name in homes[module]} & set(asked_for(FOR_USERS)), module


def test_every_requirement_has_a_lower_bound_and_only_what_breaks_an_upper_one() -> None:
    """Of the extras for users too."""
    for name, requirement in asked_for(FOR_USERS).items():
        signs = sorted(bound.operator for bound in requirement.specifier)
        assert signs == (["<", ">="] if name == "bm25s" else [">="]), str(requirement)


def test_extras_that_messages_name_are_there() -> None:
    """``hfneg[train]`` and the like, in the package and in the documents."""
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    documents += (ROOT / "recipes").rglob("*.md")
    texts = [path.read_text(encoding="utf-8") for path in [*(ROOT / "hfneg").rglob("*.py"), *documents]]
    named = {extra for text in texts for extra in re.findall(r"hfneg\[(\w+)\]", text)}
    assert named >= {"openvino", "plots", "train"}
    assert named <= set(EXTRAS)


@pytest.mark.skipif(not WORKFLOWS.is_dir(), reason="a source distribution has no workflows")
def test_workflows_run_commands_that_are_there() -> None:
    """Each step runs .ci/run or a command of the Makefile, so that all of it can be run anywhere."""
    known = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    ran = set()
    for path in WORKFLOWS.glob("*.yml"):
        for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values():
            targets = job.get("strategy", {}).get("matrix", {}).get("target", [])
            for command in (step["run"] for step in job["steps"] if "run" in step):
                if command != "bash .ci/run":
                    program, target, *_ = command.replace("${{ matrix.target }}", "EACH").split()
                    assert program == "make"
                    ran |= set(targets) if target == "EACH" else {target}
    assert ran <= known
    assert ran >= {"demo", "wheel", "test-avx2", "test-lowest", "test-newest", "test-properties"}


WITHOUT_ACCELERATE = """
import sys
sys.modules["accelerate"] = None
from datasets import Dataset
import hfneg
pairs = Dataset.from_dict({"query": ["a b", "c d"], "answer": ["b a", "d c"]})
texts = ["b a", "d c", "e f"]
recipe = hfneg.Recipe(retrievers=hfneg.Dense("no/such-model"), k=2, sampler=hfneg.TakeTop(1))
anchors = hfneg.Anchors(pairs, hfneg.Corpus.from_texts(texts), anchor="query", positive="answer")
for work in (
    lambda: hfneg.rounds(pairs, texts, recipe, train=hfneg.Training(model="no/such-model"), out="rounds"),
    lambda: hfneg.HardNegativeRefresh(anchors, pairs, recipe, out="refreshes", every_steps=1),
):
    try:
        work()
    except hfneg.MissingExtraError as error:
        print(error)
# who trains otherwise needs none of it
hfneg.rounds(pairs, texts, recipe, model="no/such-model", train=lambda round: round.model, out="own")
"""


def test_a_trainer_that_cannot_run_is_said_before_mining(tmp_path: Path) -> None:
    """Without accelerate `rounds` with a `Training` and `HardNegativeRefresh` name the extra, load no model and write
    nothing; a training of one's own is not held up."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ACCELERATE], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for line, asker in zip(
        done.stdout.splitlines(), ("rounds(train=Training(...))", "HardNegativeRefresh"), strict=True
    ):
        assert line.startswith(asker)
        assert line.endswith("pip install 'hfneg[train]'")
    assert [path.name for path in tmp_path.iterdir()] == ["own"]
