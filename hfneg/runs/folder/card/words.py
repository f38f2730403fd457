"""A recipe in words, and where its methods come from."""

from __future__ import annotations

import inspect
import re
from typing import Any

from hfneg.pipeline.recipe_text import parse_yaml, step_known_as
from hfneg.runs.folder.card.markdown import in_code
from hfneg.steps.fusion import Fusion
from hfneg.steps.papers import Paper

INTRODUCED = {
    "retrievers": "**Candidates** for each anchor come from",
    "fusion": "**Several lists become one** by",
    "teacher": "**A teacher** reads anchor and candidate together:",
    "guard": "**A guard** refuses known positives, the anchor's own text and near-duplicates of either:",
    "filters": "**A filter** then drops what may be relevant after all, or too easy:",
    "promote": "**Likely positives** are set apart:",
    "short": "**Anchors with too few** survivors get more by",
    "sampler": "**Negatives** are taken of what is left:",
}


def in_words(recipe: str) -> list[str]:
    """One Markdown sentence per step of a recipe's YAML, in the order in which they work."""
    slots = parse_yaml(recipe, "the recipe") or {}
    several = len(_steps(slots.get("retrievers"))) > 1
    said = []
    for slot, value in slots.items():
        if slot == "fusion" and not several:
            continue
        if slot == "k":
            said.append(f"**{value} candidates** per source are looked at, known positives not counted.")
            continue
        for step in _steps(value):
            if slot == "short" and _name(step) == "Keep":
                said.append("**Anchors with too few** survivors keep those that they have: nothing is filled up.")
                continue
            said.append(f"{INTRODUCED.get(slot, f'**{slot.capitalize()}**:')} {in_code(step)}{_meaning(step)}")
    return said


def in_one_line(recipe: str) -> str:
    """The steps that tell recipes apart, by name and setting: ``BM25(); k=100; TakeTop(n=7)``."""
    slots = parse_yaml(recipe, "the recipe") or {}
    said = [" + ".join(_steps(slots.get("retrievers"))), f"k={slots['k']}" if "k" in slots else ""]
    said += [step for slot in ("teacher", "filters", "promote", "sampler") for step in _steps(slots.get(slot))]
    return "; ".join(part for part in said if part)


def references(recipe: str) -> list[Paper]:
    """What to cite for the steps of a recipe's YAML, each once, in order."""
    slots = parse_yaml(recipe, "the recipe") or {}
    names = [name for value in slots.values() for step in _steps(value) for name in re.findall(r"([\w.]+)\(", step)]
    if len(_steps(slots.get("retrievers"))) < 2:
        names = [name for name in names if not issubclass(step_known_as(name) or object, Fusion)]
    return list(dict.fromkeys(paper for name in names for paper in getattr(step_known_as(name), "cites", ())))


def seeds_of(recipe: str) -> dict[str, int]:
    """Step -> seed, of all steps of a recipe's YAML that draw at random; a seed left out is the step's default."""
    slots = parse_yaml(recipe, "the recipe") or {}
    found = {}
    for step in (step for value in slots.values() for step in _steps(value)):
        given, default = re.search(r"\bseed=(\d+)", step), getattr(step_known_as(_path(step)), "seed", None)
        if given or isinstance(default, int):
            found[_name(step)] = int(given.group(1)) if given else int(str(default))
    return found


def _steps(value: Any) -> list[str]:
    """The steps of a slot as text."""
    items = value if isinstance(value, list) else [value]
    return [item if isinstance(item, str) else str(item) for item in items if item is not None]


def _path(step: str) -> str:
    """As the text calls it: the name of a step, with its module where it is a user's own."""
    match = re.match(r"[\w.]+", step)
    return match.group() if match else ""


def _name(step: str) -> str:
    return _path(step).rpartition(".")[2]


def _meaning(step: str) -> str:
    """The first sentence of the step's docstring, as the end of a sentence."""
    kind = step_known_as(_path(step))
    paragraph = (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ") if kind is not None else ""
    return f". {paragraph.replace('``', '`')}" if paragraph else "."
