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

ROOMS = ("base", "data", "models", "steps", "pipeline", "runs", "formats", "review", "hub", "training", "cli")
"""From the bottom up. A room imports rooms below it, never one above; `errors` is under the floor."""

PLACE = {room: number for number, room in enumerate(ROOMS)}
UNDER_THE_FLOOR = {"errors", "base.scrubbing"}
"""What everybody may import: the errors, and what keeps secrets out of their messages."""

APART = ({"steps.retrievers", "steps.teachers", "steps.filters"}, {"review.audit", "review.leak", "review.diff"})
"""Parts of a room that do not import one another."""

MODEL_LIBRARIES = {"torch", "faiss", "numba", "transformers", "sentence_transformers"}


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


def room(module: str) -> str:
    return module.split(".")[0]


def part(module: str) -> str:
    return ".".join(module.split(".")[:2])


def test_the_house_has_eleven_rooms() -> None:
    """Beside them lie only the package itself, ``python -m hfneg``, and the errors."""
    assert {room(name) for name in trees()} - {"", "errors", "__main__"} == set(ROOMS)
    assert {path.name for path in ROOT.iterdir() if path.suffix == ".py"} == {"__init__.py", "__main__.py", "errors.py"}


@pytest.mark.parametrize("module", [name for name in trees() if room(name) in PLACE])
def test_a_room_imports_only_rooms_below_it(module: str) -> None:
    """Also inside functions."""
    for target in set(imports(trees()[module], lazy=True)) - UNDER_THE_FLOOR - {""}:
        assert PLACE[room(target)] <= PLACE[room(module)], f"{module} imports {target}, of a room above"
        for parts in APART:
            apart = {part(module), part(target)}
            assert not (len(apart) == 2 and apart <= parts), f"{module} imports {target}, and the two stand apart"


@pytest.mark.parametrize("module", sorted(UNDER_THE_FLOOR))
def test_what_lies_under_the_floor_stands_on_nothing(module: str) -> None:
    assert set(imports(trees()[module], lazy=True)) <= UNDER_THE_FLOOR


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports inside functions counted."""
    graph = {name: set(imports(tree, lazy=True)) - {""} for name, tree in trees().items() if name}
    assert (names := in_a_circle(graph)) == set(), f"these import one another: {sorted(names)}"


def in_a_circle(graph: dict[str, set[str]]) -> set[str]:
    """What is left when whatever needs nothing of the rest is taken away, again and again."""
    done: set[str] = set()
    while free := {name for name, needed in graph.items() if needed - {name} <= done} - done:
        done |= free
    return set(graph) - done


def test_the_package_loads_nothing_at_its_top() -> None:
    """hfneg/__init__.py imports no module of hfneg."""
    assert list(imports(trees()[""], lazy=False)) == []


def test_no_room_has_the_name_of_something_public() -> None:
    """`hfneg.mine` is the function wherever it is imported from, never a module of that name."""
    assert {room(name) for name in trees()} & (set(hfneg.__all__) - {"formats"}) == set()


def test_rooms_and_folders_are_of_a_size_to_look_through() -> None:
    """A folder has at most 18 files, a room at most 7,000 lines."""
    for folder in {path.parent for path in ROOT.rglob("*.py")}:
        assert len(list(folder.glob("*.py"))) <= 18, folder
    for name in ROOMS:
        assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / name).rglob("*.py")) <= 7_000


def test_all_is_the_truth() -> None:
    """Every name of __all__ resolves, to what its home defines; dir() says the same; others are refused."""
    for name in hfneg.__all__:
        assert getattr(hfneg, name) is not None
    for name, home in hfneg._HOMES.items():
        assert getattr(hfneg, name) is getattr(importlib.import_module(home), name)
    assert dir(hfneg) == hfneg.__all__ == sorted(set(hfneg.__all__))
    with pytest.raises(AttributeError, match="no attribute 'mien'"):
        _ = hfneg.mien


def test_every_step_of_a_slot_is_public() -> None:
    """What a recipe can name can be imported from hfneg."""
    from hfneg.pipeline.recipe_text import STEPS

    assert {name for name, step in STEPS.items() if getattr(hfneg, name, None) is not step} == set()


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
    small = module.startswith("steps.filters.") or not tree.body
    assert small or ast.get_docstring(tree), f"{module} has no docstring"
