"""The recipes that come with hfneg, by name: the YAML files of this folder.

Each begins with two lines for people, ``#: for ...`` and ``#: costs ...``; what it needs stands in its slots. Those in
``rounds`` have a section ``training:`` and are for `hfneg.rounds`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from hfneg.errors import near_miss

FOLDER = Path(__file__).parent


class NamedRecipe(NamedTuple):
    """A recipe that comes with hfneg.

    Attributes:
        model, teacher: the models that it names, which a setting replaces; None: it needs none.
        purpose, costs: what it is for, and what it takes.
        trains: whether it is for `hfneg.rounds`.
    """

    name: str
    model: str | None
    teacher: str | None
    purpose: str
    costs: str
    trains: bool = False


def names() -> list[str]:
    """By which they are known, in the order of the alphabet; those for `hfneg.rounds` last."""
    return [path.stem for folder in (FOLDER, FOLDER / "rounds") for path in sorted(folder.glob("*.yaml"))]


def text_of(name: str) -> str:
    """The YAML text, with its comments; `name` is one of `names`."""
    (path,) = FOLDER.rglob(f"{name}.yaml")
    return path.read_text(encoding="utf-8")


def named() -> list[NamedRecipe]:
    """All of them: what needs no model, what needs one, what needs a teacher, what trains."""
    found = list(map(_named, names()))
    return sorted(found, key=lambda one: (one.trains, one.teacher is not None, one.model is not None, one.name))


def known(given: str) -> str:
    """What there is, in words, with the one that `given` may have been meant for."""
    there = names()
    return (
        f"the recipes that come with hfneg are {', '.join(there)} (hfneg recipes says what each is for)."
        f"{near_miss(Path(given).stem, there)}"
    )


def _named(name: str) -> NamedRecipe:
    text = text_of(name)
    slots = yaml.safe_load(text)
    models = [_model_of(step) for step in slots["retrievers"]]
    model = next((found for found in models if found is not None), None)
    judge = _model_of(slots.get("teacher"))
    return NamedRecipe(name, model, judge, _said(text, "for"), _said(text, "costs"), "training" in slots)


def _model_of(step: Any) -> str | None:
    """Of a step as text or as a mapping."""
    if isinstance(step, dict):
        (settings,) = step.values()
        return str(settings["model"]) if isinstance(settings, dict) and "model" in settings else None
    match = re.search(r"\bmodel='([^']+)'", step or "")
    return match[1] if match else None


def _said(text: str, what: str) -> str:
    match = re.search(rf"^#: {what} (.+)$", text, re.MULTILINE)
    return match[1] if match else ""
