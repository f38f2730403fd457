"""A recipe: everything a mining run is made of, as an object and as YAML.

::

    retrievers:
      - BM25(k1=0.9)
      - Dense(model='sentence-transformers/all-MiniLM-L6-v2')
    k: 100
    fusion: RRF()
    teacher: CrossEncoderTeacher(model='BAAI/bge-reranker-v2-m3')
    filters:
      - RankWindow(skip=5)
      - Margin(relative=0.05)
    sampler: TakeTop(n=7)

A step is written as in Python (which is also its ``repr``), or as a mapping, ``Margin: {relative: 0.05}``.
A component of one's own is written with its module, ``my_package.my_module.MyFilter(...)``, and loaded only
with ``trust=True``, because loading it runs its code.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, InstanceOf, ValidationError, field_validator

from hfneg.base import html
from hfneg.base.files import checksums
from hfneg.base.settings import MOST, shown
from hfneg.data.anchors import Anchors
from hfneg.errors import RecipeError, near_miss
from hfneg.pipeline.mine import Mine
from hfneg.pipeline.reach import refuse_too_few
from hfneg.pipeline.recipe_text import parse_setting, parse_step, parse_yaml, replaced, step_text
from hfneg.pipeline.retrieve import Retrieve, source_names
from hfneg.pipeline.select import Select
from hfneg.pipeline.yaml_text import recipe_text
from hfneg.steps.filters import Filter
from hfneg.steps.fusion import RRF, Fusion
from hfneg.steps.guard import Guard
from hfneg.steps.promote import Promote
from hfneg.steps.retrievers import BM25
from hfneg.steps.samplers import Sampler, TakeTop
from hfneg.steps.short import Keep, Short
from hfneg.steps.step import Step
from hfneg.steps.teachers import Teacher

log = logging.getLogger(__name__)


class Recipe(BaseModel):
    """Settings of one mining round; every slot has a default, so ``Recipe()`` is BM25 and the top 7.

    >>> recipe = Recipe(retrievers=[BM25(k1=0.9)], k=50, sampler=TakeTop(5))
    >>> Recipe.from_yaml(recipe.to_yaml()) == recipe
    True

    Slots:
        retrievers: where candidates come from, one or several.
        k: candidates per source, an anchor's known positives not counted.
        fusion: how several lists become one.
        teacher: scores the candidates that filters ask about; None: there is none.
        guard: the leakage guard's settings.
        filters: what is dropped, in order.
        promote: makes extra positives of what the teacher puts above the positive; None: nothing.
        sampler: what is taken of the rest, and how many.
        deeper: candidates per source in a second search for anchors with too few negatives; None: there is none.
        short: what becomes of anchors that have too few even so.

    Raises RecipeError for an unknown slot, step or setting, with the near miss, and for settings by which no anchor can
    get the sampler's n negatives.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    retrievers: tuple[Any, ...] = (BM25(),)
    k: int = Field(default=100, strict=True, ge=1, le=MOST)
    fusion: InstanceOf[Fusion] = RRF()
    teacher: InstanceOf[Teacher] | None = None
    guard: InstanceOf[Guard] = Guard()
    filters: tuple[InstanceOf[Filter], ...] = ()
    promote: InstanceOf[Promote] | None = None
    sampler: InstanceOf[Sampler] = TakeTop(7)
    deeper: int | None = Field(default=None, strict=True, ge=1, le=MOST)
    short: InstanceOf[Short] = Keep()

    def __init__(self, **slots: Any) -> None:
        for name in slots:
            if name not in SLOTS:
                hint = " What trains is for hfneg rounds." if name == "training" else near_miss(name, SLOTS)
                raise RecipeError(f"a recipe has no slot {name!r}; the slots are {', '.join(SLOTS)}.{hint}")
        try:
            super().__init__(**slots)
        except ValidationError as error:
            first = error.errors()[0]
            slot = ".".join(map(str, first["loc"]))
            text = isinstance(first["input"], str) and slot not in NUMBERS
            hint = " (Recipe.from_yaml reads steps written as text)" if text else ""
            raise RecipeError(
                f"recipe slot {slot!r}: {first['msg']}; {shown(first['input'])} was given{hint}"
            ) from None
        names = source_names(self.retrievers)
        if self.deeper is not None and self.deeper <= self.k:
            raise RecipeError(
                f"recipe slot 'deeper': it is {self.deeper}, but the first search already gives k={self.k} candidates "
                "per source; say more than k, or leave it out"
            )
        refuse_too_few(self.sampler.n, names, self.k, self.deeper, self.fusion, self.filters, self.short)

    @field_validator("retrievers", "filters", mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:
        return _as_tuple(given)

    def _repr_html_(self) -> str:
        return html.facts("Recipe", {slot: getattr(self, slot) for slot in SLOTS})

    # From and to text.

    @classmethod
    def load(cls, path: str | Path, *, trust: bool = False) -> Recipe:
        """From a YAML file, or by the name of a recipe that comes with hfneg: ``Recipe.load("hybrid")``."""
        text, file = recipe_text(path), Path(path)
        fault = checksums.fault(file.parent / checksums.MANIFEST, file.parent, below=file.name)
        if fault is not None and fault.path == file:
            log.warning("%s, or was edited: it is not what %s was mined with", fault, file.parent)
        try:
            return cls.from_yaml(text, trust=trust)
        except RecipeError as error:
            raise RecipeError(f"{path}: {error}") from None

    @classmethod
    def from_yaml(cls, text: str, *, trust: bool = False) -> Recipe:
        """From YAML text; `trust` allows components named by import path."""
        return cls(**cls.slots(text, trust=trust))

    @staticmethod
    def slots(text: str, *, trust: bool = False) -> dict[str, Any]:
        """The slots of a recipe's YAML text, each read but not yet looked at together."""
        slots = parse_yaml(text, "the recipe")
        if slots is None:
            slots = {}
        if not isinstance(slots, dict):
            raise RecipeError(f"a recipe is a mapping of slots ({', '.join(SLOTS)}); this is a {type(slots).__name__}")
        return {str(name): _slot(str(name), value, trust) for name, value in slots.items()}

    def to_yaml(self) -> str:
        """YAML with one slot per step; a live object is written as its repr and cannot be read back."""
        slots = {name: step_text(value) for name in SLOTS if (value := getattr(self, name)) is not None}
        text: str = yaml.safe_dump(slots, sort_keys=False, allow_unicode=True, width=1_000_000)
        return text

    def with_settings(self, settings: Sequence[str], *, trust: bool = False) -> Recipe:
        """A recipe with some settings changed: ``["k=200", "sampler.n=5", "retrievers.bm25.k1=0.9"]``.

        A step in a list is named by its class, its source name or its position; ``slot=STEP`` replaces a slot.
        """
        slots = {name: getattr(self, name) for name in SLOTS}
        for setting in settings:
            slots |= _changed(slots, setting, trust)
        return Recipe(**slots) if settings else self

    # What it does.

    def transform(self, anchors: Anchors, *, keep_candidates: bool = False, remine: bool = False) -> Mine:
        """All steps as one transform: ``pairs.map(recipe.transform(anchors), batched=True)``."""
        return Mine(
            Retrieve(anchors, list(self.retrievers), k=self.k, fusion=self.fusion),
            Select(
                anchors,
                teacher=self.teacher,
                filters=self.filters,
                sampler=self.sampler,
                guard=self.guard,
                promote=self.promote,
                keep_candidates=keep_candidates,
                remine=remine,
            ),
            deeper=self.deeper,
            short=self.short,
        )


def as_mined(text: str) -> str:
    """The text of a recipe that a finished run has left, in which what its version did not know is off."""
    return re.sub(r"\bGuard\((near_duplicate=[^,()]*)\)", r"Guard(\1, contained=None)", text)


SLOTS = tuple(Recipe.model_fields)
NUMBERS = ("k", "deeper")
LISTS = ("retrievers", "filters")


def _as_tuple(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, list | tuple) else (given,)


def _slot(name: str, value: Any, trust: bool) -> Any:
    if name in NUMBERS or name not in SLOTS or value is None:
        return value
    if name in LISTS:
        return [parse_step(item, trust=trust) for item in (value if isinstance(value, list) else [value])]
    return parse_step(value, trust=trust)


def _changed(slots: Mapping[str, Any], setting: str, trust: bool) -> dict[str, Any]:
    """The slot that a setting changes, as it is then."""
    path, equals, text = setting.partition("=")
    slot, *rest = path.strip().split(".")
    if not equals or slot not in SLOTS:
        raise RecipeError(
            f"{setting!r}: write slot.key=value or slot=value, with one of the slots {', '.join(SLOTS)}."
            f"{near_miss(slot, SLOTS)}"
        )
    current = slots[slot]
    current = _as_tuple(current) if slot in LISTS else current
    value = parse_yaml(text, repr(setting)) if rest else parse_setting(text, repr(setting))
    if not rest:
        new = _slot(slot, value, trust)
    elif isinstance(current, tuple) and len(rest) == 2:
        at = _position(current, rest[0], slot)
        new = [replaced(step, rest[1], value) if i == at else step for i, step in enumerate(current)]
    elif len(rest) == 1 and isinstance(current, tuple) and len(current) == 1:
        new = [replaced(current[0], rest[0], value)]
    elif len(rest) == 1 and isinstance(current, Step):
        new = replaced(current, rest[0], value)
    else:
        names = ", ".join(type(step).__name__ for step in current) if isinstance(current, tuple) else slot
        raise RecipeError(f"{setting!r}: say which step of {slot} ({names}), as in {slot}.STEP.key=value")
    return {slot: new}


def _position(steps: tuple[Any, ...], name: str, slot: str) -> int:
    labels = [{type(s).__name__.lower(), str(getattr(s, "name", "")), str(getattr(s, "verdict", ""))} for s in steps]
    for i, known in enumerate(labels):
        if name.lower() in known or name == str(i):
            return i
    allowed = [type(step).__name__ for step in steps]
    raise RecipeError(
        f"{slot} has no step {name!r}; it has {', '.join(allowed) or 'none'}."
        f"{near_miss(name.lower(), sorted(set().union(*labels)))}"
    )
