"""YAML of recipes, as YAML 1.2 means its numbers, in which nothing is overwritten in silence and nothing grows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from hfneg.data.files.readable import check_name
from hfneg.errors import RecipeError
from hfneg.pipeline import recipes

BYTES = 1_000_000  # a recipe has some hundred; a text of megabytes takes minutes to be read, and is none
DEPTH = 50  # of lists and mappings in one another
NODES = 20_000  # with all that aliases stand for, each time that one is used


class Loader(yaml.SafeLoader):
    """SafeLoader, but that ``1e-3`` is a number, no key comes twice, and aliases cannot make much of little."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._depth = self._nodes = 0
        self._sizes: dict[int, int] = {}  # of finished nodes, by their identity

    def compose_node(self, parent: Any, index: Any) -> Any:
        alias = self.check_event(yaml.AliasEvent)
        before, self._depth = self._nodes, self._depth + 1
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self._depth > DEPTH:
            raise yaml.composer.ComposerError(None, None, f"it is nested more than {DEPTH} deep", mark)
        node = super().compose_node(parent, index)
        if alias and id(node) not in self._sizes:
            raise yaml.composer.ComposerError(None, None, "an alias stands inside of what it is an alias of", mark)
        self._nodes = before + self._sizes[id(node)] if alias else self._nodes + 1
        if self._nodes > NODES:
            raise yaml.composer.ComposerError(None, None, f"it has more than {NODES:,} values, with aliases", mark)
        self._sizes[id(node)] = self._nodes - before
        self._depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[tuple[str, Any]] = set()
        for key, _ in node.value:
            name = (key.tag, key.value if isinstance(key, yaml.ScalarNode) else id(key))
            if name in seen:
                said = f"the key {key.value!r} comes twice"
                raise yaml.constructor.ConstructorError(None, None, said, key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def recipe_text(path: str | Path) -> str:
    """The text of a recipe's file, or of a recipe that comes with hfneg, by its name, where there is no such file.

    Raises RecipeError: no such file, one too large, no text.
    """
    check_name(path, RecipeError)
    file = Path(path)
    if not file.is_file():
        if str(path) in recipes.names():
            return recipes.text_of(str(path))
        what = "is no file" if file.exists() else "is not there"
        raise RecipeError(f"there is no recipe file {str(path)!r}: it {what}; {recipes.known(str(path))}")
    if file.stat().st_size > BYTES:
        raise RecipeError(f"{path} has {file.stat().st_size:,} bytes; a recipe has a few hundred: is it another file?")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is no text file ({error}); a recipe is YAML") from None
    except OSError as error:
        raise RecipeError(f"cannot read {path} ({error.strerror or error})") from None


def parse_yaml(text: str, what: str, hint: str = "") -> Any:
    """The value of YAML text; `what` names it in the error, `hint` says what is often the cause.

    Raises RecipeError: no YAML, more than BYTES, deeper than DEPTH, a key twice, an alias inside of itself.
    """
    if len(text) > BYTES:
        raise RecipeError(f"{what} has {len(text):,} characters; a recipe has a few hundred: is it another file?")
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise RecipeError(f"{what} is no valid YAML{hint}: {_in_one_line(error)}") from None
    except Exception as error:  # numbers of 5,000 digits, dates of no calendar, tags such as !!bool on what is none
        raise RecipeError(f"{what} is no valid YAML{hint}: {type(error).__name__}: {_in_one_line(error)}") from None


def _in_one_line(error: Exception) -> str:
    """What PyYAML says in several lines, without its drawing of the place."""
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    if problem is None:
        return " ".join(str(error).split())[:200]
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else str(problem)
