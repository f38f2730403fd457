"""The package's shape: imports point one way, names are what they say, and ``import hfneg`` is cheap."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import hfneg
from hfneg import errors

ROOT = Path(hfneg.__file__).parent

LAYERS = """
scrubbing
errors
base recipes
columns progress histograms difference memory returned json_lines sources step store strings hashing verdicts compiling
part_files readable asking data_file small plain_text
selecting_kernels
batches documents live_digest models encoded yaml_text near_kernels dense_products run_folder segments
model_kinds
near_plain dense_kernels
near dense_plain corpus encoding transform scores claims
stored artefacts
data vectors model_step
anchors clusters near_anchors similarity upkeep
candidates splits co_positives
pool
outcome
retrievers teachers filters sampling promotion formats fusion
flat_scores
guard searching scoring hubs unfound
short guard_takes
reach
retrieve policy step_text
deepening select selections ledger
pipeline
recipe executors stages
bars
cards provenance
mined_folder rows
summary
mined_ledger
reopening replaying statistics_of ledger_texts
contrast judgement
closing
reselecting diffing
examining
shortcuts identity
showing reporting previewing
notebook
mining
auditing
calibrating
calibration
publishing
looping reproducing
showing_audit showing_diff showing_calibration showing_preview showing_anchors
cli_last_resort cli_verbose
cli_ending
cli_reading cli_recipes
cli_audit cli_push cli_report cli_calibrate cli_select cli_rounds cli_reproduce
cli_store
cli
__main__
"""
"""From the bottom up. A module imports modules of lines above its own; a package's modules also one another."""

MODEL_LIBRARIES = {"torch", "faiss", "numba", "transformers", "sentence_transformers"}
PLACE = {name: i for i, line in enumerate(LAYERS.split("\n")) for name in line.split()}


@cache
def trees() -> dict[str, ast.Module]:
    """Module name without "hfneg." -> its syntax; the package itself is ""."""
    paths = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sorted(ROOT.rglob("*.py"))}
    return {
        name.removesuffix("__init__").removesuffix("."): ast.parse(path.read_text(encoding="utf-8"))
        for name, path in paths.items()
    }


def only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports(tree: ast.AST, *, lazy: bool) -> Iterator[str]:
    """Modules of hfneg that it imports (without "hfneg."); with `lazy` also those inside functions."""
    for node in ast.iter_child_nodes(tree):
        if only_for_types(node) or (not lazy and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module == "hfneg" or (node.module or "").startswith("hfneg."):
                base = node.module.removeprefix("hfneg").removeprefix(".")  # type: ignore[union-attr]
                for name in (f"{base}.{alias.name}".removeprefix(".") for alias in node.names):
                    if name != "__version__":
                        yield name if name in trees() else base
        elif isinstance(node, ast.Import):
            yield from (alias.name.removeprefix("hfneg.") for alias in node.names if alias.name.startswith("hfneg."))
        yield from imports(node, lazy=lazy)


def layer(module: str) -> str:
    return module.split(".")[0]


def test_every_module_has_a_place() -> None:
    """A new module is put into LAYERS, and nothing stands there that is gone."""
    modules = {layer(name) for name in trees() if name}
    assert modules - set(PLACE) == set(), "give these modules a place in LAYERS"
    assert set(PLACE) - modules == set(), "these modules are gone: take them out of LAYERS"


@pytest.mark.parametrize("module", [name for name in trees() if name])
def test_imports_point_one_way(module: str) -> None:
    """Also those inside functions: only to lower layers, so that no sibling imports another and there is no cycle."""
    for target in imports(trees()[module], lazy=True):
        if layer(target) != layer(module):
            assert PLACE[layer(target)] < PLACE[layer(module)], f"{module} imports {target}, which is not below it"


def test_no_cycle_when_modules_are_loaded() -> None:
    """Inside a package too: what modules import at their top has an order."""
    graph = {name: set(imports(tree, lazy=False)) for name, tree in trees().items() if name}
    done: set[str] = set()
    while graph:
        free = {name for name, needed in graph.items() if needed - {name} <= done}
        assert free, f"these import one another: {sorted(graph)}"
        done |= free
        graph = {name: needed for name, needed in graph.items() if name not in free}


def test_the_package_loads_nothing_at_its_top() -> None:
    """hfneg/__init__.py imports modules of hfneg for type checkers only."""
    assert list(imports(trees()[""], lazy=False)) == []


def test_no_module_has_the_name_of_something_public() -> None:
    """`hfneg.mine` is the function wherever it is imported from, never a module of that name."""
    names = {part for name in trees() for part in name.split(".")}
    assert names & (set(hfneg.__all__) - {"formats"}) == set()


def test_all_is_the_truth() -> None:
    """Every name of __all__ resolves, to what its home defines; dir() says the same; others are refused."""
    for name in hfneg.__all__:
        assert getattr(hfneg, name) is not None
    for home, names in hfneg._HOMES.items():
        for name in names:
            assert getattr(hfneg, name) is getattr(importlib.import_module(home), name)
    assert dir(hfneg) == hfneg.__all__ == sorted(set(hfneg.__all__))
    with pytest.raises(AttributeError, match="no attribute 'mien'"):
        _ = hfneg.mien


def test_type_checkers_see_the_same_names() -> None:
    """The TYPE_CHECKING block imports exactly what _HOMES names, each from its home."""
    (block,) = (node for node in trees()[""].body if only_for_types(node))
    seen = {
        (node.module, alias.name, alias.asname)
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    expected = {(home, name, name) for home, names in hfneg._HOMES.items() for name in names}
    assert seen == expected | {("hfneg", "formats", "formats")}


def test_every_error_is_public_and_drawn_in_the_tree() -> None:
    """`except hfneg.X` works for each, and the docstring shows each below its base."""
    kinds = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    for kind in kinds:
        assert getattr(hfneg, kind.__name__) is kind
        assert issubclass(kind, hfneg.HfnegError)
        assert f" {kind.__name__} " in (errors.__doc__ or "").replace("\n", " ")
        assert kind.__doc__


def test_import_is_cheap() -> None:
    """In a fresh process `import hfneg` takes well under a second and loads no heavy library."""
    code = (
        "import json, sys, time; start = time.perf_counter(); import hfneg; took = time.perf_counter() - start; "
        "print(json.dumps([took, sorted(sys.modules)]))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    took, modules = json.loads(answer.stdout)
    heavy = {
        "torch",
        "faiss",
        "numba",
        "datasets",
        "transformers",
        "sentence_transformers",
        "pyarrow",
        "pandas",
        "numpy",
    }
    assert heavy & set(modules) == set()
    assert [name for name in modules if name.startswith("hfneg")] == ["hfneg"]
    assert took < 1.0, f"import hfneg took {took:.3f} s"


def test_importing_the_parts_loads_no_model_library() -> None:
    """Corpus, anchors, BM25, policies and recipes are there without torch, faiss, transformers or numba.

    (`HardNegativeRefresh` is a callback of transformers' trainer, and cannot be without it.)
    """
    code = (
        "import json, sys, hfneg; [getattr(hfneg, name) for name in hfneg.__all__ "
        "if name != 'HardNegativeRefresh']; hfneg.Recipe(); "
        "print(json.dumps(sorted(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert {"torch", "faiss", "transformers", "sentence_transformers", "numba"} & set(
        json.loads(answer.stdout)
    ) == set()


@pytest.mark.parametrize("module", list(trees()))
def test_house_rules(module: str) -> None:
    """No print, no bare except, every module says what it is, and none is longer than 320 lines."""
    tree = trees()[module]
    for node in ast.walk(tree):
        where = f"{module}, line {getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Call):
            assert not (isinstance(node.func, ast.Name) and node.func.id == "print"), f"print in {where}"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"bare except in {where}"
    path = ROOT / Path(*module.split(".")) if module else ROOT
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 320
    small = module.startswith("filters.") or not tree.body
    assert small or ast.get_docstring(tree), f"{module} has no docstring"
