"""Steps as text: written as in Python or as YAML mappings, and read back without evaluating anything."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from hfneg.base.settings import shown
from hfneg.errors import HfnegError, RecipeError, near_miss
from hfneg.pipeline import yaml_text
from hfneg.steps.data_file import DataFile
from hfneg.steps.filters import FILTERS
from hfneg.steps.fusion import FUSIONS
from hfneg.steps.guard import Guard
from hfneg.steps.promote import Promote
from hfneg.steps.retrievers import RETRIEVERS
from hfneg.steps.samplers import SAMPLERS
from hfneg.steps.short import SHORT
from hfneg.steps.step import Step
from hfneg.steps.teachers import TEACHERS, Ensemble

STEPS: dict[str, type] = {
    step.__name__: step
    for step in (*RETRIEVERS, *TEACHERS, *FILTERS, *SAMPLERS, *FUSIONS, *SHORT, Guard, Promote, DataFile)
}
UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)  # the last two of a text that is nested deeply
QUOTES = "a step with a colon in it, or with commas and inside a [list], stands in quotes"


def parse_yaml(text: str, what: str) -> Any:
    """The value of YAML text; `what` names it in the error."""
    return yaml_text.parse_yaml(text, what, f" ({QUOTES})")


def step_known_as(name: str) -> type | None:
    """The step that text calls so; of one named by import path only what is loaded already: nothing is imported."""
    module, _, attribute = name.rpartition(".")
    return STEPS.get(name) or getattr(sys.modules.get(module), attribute, None)


def parse_step(given: Any, *, trust: bool = False) -> Any:
    """A step from ``"TakeTop(n=7)"``, ``"BM25"``, ``{"TakeTop": {"n": 7}}`` or a step itself."""
    if isinstance(given, str):
        name, arguments, settings = _parse_call(given, trust)
    elif isinstance(given, Mapping) and len(given) == 1:
        name, value = next(iter(given.items()))
        arguments, settings = (
            ([], {str(key): _nested(item, trust) for key, item in value.items()})
            if isinstance(value, Mapping)
            else ([] if value is None else [value], {})
        )
    elif isinstance(given, Mapping | list | int | float | bool) or given is None:
        raise RecipeError(f"{shown(given)} is no step; write one as TakeTop(n=7) or as TakeTop: {{n: 7}}")
    else:
        return given
    return _built(_step_type(str(name), trust), arguments, settings)


def _nested(value: Any, trust: bool) -> Any:
    """The setting of a step; a step in it (the members of an ensemble, the filter in `Agreement`) becomes a step."""
    if isinstance(value, Mapping):
        return parse_step(value, trust=trust) if _is_step(value) else value
    if isinstance(value, str):
        return parse_step(value, trust=trust) if value.partition("(")[0].strip() in STEPS and _is_step(value) else value
    if not isinstance(value, list):
        return value
    return [parse_step(item, trust=trust) if _is_step(item) else item for item in value]


def _is_step(item: Any) -> bool:
    if isinstance(item, Mapping):
        return len(item) == 1 and next(iter(item)) in STEPS
    return isinstance(item, str) and re.fullmatch(r"\s*[A-Za-z_][\w.]*\(.*\)\s*", item, re.DOTALL) is not None


def _parse_call(text: str, trust: bool) -> tuple[str, list[Any], dict[str, Any]]:
    """Name, positional and keyword values of ``Name(1, b=2)``: literals, or steps; nothing else is evaluated."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
        call = node if isinstance(node, ast.Call) else ast.Call(func=node, args=[], keywords=[])
        name = ast.unparse(call.func)
        arguments = [_value(value, trust) for value in call.args]
        settings = {str(keyword.arg): _value(keyword.value, trust) for keyword in call.keywords}
    except HfnegError:
        raise
    except UNREADABLE:
        raise RecipeError(
            f"{shown(text)} is no step; write one as TakeTop(n=7), with plain values; {QUOTES}. (A live model or "
            "retriever has no text form: save it and give its path.)"
        ) from None
    return name, arguments, settings


def _value(node: ast.expr, trust: bool) -> Any:
    """A literal; a step inside a step (as an ensemble's members) becomes that step."""
    if isinstance(node, ast.Call):
        return parse_step(ast.unparse(node), trust=trust)
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item, trust) for item in node.elts]
    return ast.literal_eval(node)


def _step_type(name: str, trust: bool) -> type:
    if name in STEPS:
        return STEPS[name]
    if "." not in name:
        raise RecipeError(
            f"there is no step {name!r}; the steps are {', '.join(sorted(STEPS))}.{near_miss(name, STEPS)}"
        )
    if not trust:
        raise RecipeError(
            f"the recipe names a component by import path, {name!r}; loading it runs its code: look at it, then allow "
            "it with trust=True (--trust on the command line)"
        )
    module, _, attribute = name.rpartition(".")
    try:
        found: type = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise RecipeError(f"cannot load the component {name!r}: {error}") from error
    return found


def _built(step: type, arguments: list[Any], settings: dict[str, Any]) -> Any:
    known = [f.name for f in dataclasses.fields(step)] if dataclasses.is_dataclass(step) else None
    for setting in settings:
        if known is not None and setting not in known:
            raise RecipeError(
                f"{step.__name__} has no setting {setting!r}; it has {', '.join(known)}.{near_miss(setting, known)}"
            )
    try:
        return step(*arguments, **settings)
    except HfnegError:
        raise
    except TypeError as error:
        if not arguments and not settings and (needed := _needed(step)):
            raise RecipeError(f"{step.__name__} needs {needed}: write {step.__name__}(...), with it") from None
        raise RecipeError(f"{step.__name__}: {error}") from None


def _needed(step: type) -> str:
    """The settings that a step has no default for, as they are typed."""
    taken = inspect.signature(step).parameters.values()
    named = [p.name for p in taken if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return ", ".join(f"{name}=" for name in named)


def parse_setting(text: str, what: str) -> Any:
    """A step or a list of steps as in Python, whose commas and colons YAML would take for its own; else YAML."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
        items = node.elts if isinstance(node, ast.List) else [node]
        steps = [ast.unparse(item) for item in items]
    except UNREADABLE:
        return parse_yaml(text, what)
    if not any(isinstance(item, ast.Call) for item in items):
        return parse_yaml(text, what)
    return steps if isinstance(node, ast.List) else steps[0]


def step_text(value: Any) -> Any:
    """The text of a step (of each of a tuple of steps); a number as it is."""
    if isinstance(value, tuple):
        return [step_text(item) for item in value]
    if isinstance(value, int):
        return value
    kind = type(value)
    if repr(value) == object.__repr__(value):
        return f"<{kind.__module__}.{kind.__qualname__}>"  # its address would make each process another recipe
    if isinstance(value, Step):  # NumPy's numbers have a repr that cannot be read back
        plain = {name: given.item() for name, given in value.settings().items() if isinstance(given, np.generic)}
        value = dataclasses.replace(value, **plain) if plain else value  # type: ignore[type-var]
    text = repr(value)
    if isinstance(value, Ensemble):  # a member of the user's own is written with its module, too
        rest = "".join(f", {name}={given!r}" for name, given in value.settings().items() if name != "teachers")
        text = f"{kind.__name__}(teachers=[{', '.join(map(step_text, value.teachers))}]{rest})"
    ours = kind.__module__.split(".")[0] == "hfneg"
    return text if ours or not dataclasses.is_dataclass(value) else f"{kind.__module__}.{text}"


def replaced(step: Any, setting: str, value: Any) -> Any:
    """The step with one setting changed."""
    if not dataclasses.is_dataclass(step):
        raise RecipeError(f"{step!r} has no settings that could be changed; replace it as a whole")
    settings = {field.name: getattr(step, field.name) for field in dataclasses.fields(step)}
    return _built(type(step), [], {**settings, setting: value})
