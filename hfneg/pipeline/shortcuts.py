"""From what a user says in one line to a recipe: `model`, `teacher`, `n` and `k` fill its slots.

The usual recipe needs no thought: with a model BM25 and the model together, else BM25; what a teacher or the model puts
near or above positives is left out; no anchor stays short.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hfneg.errors import RecipeError, SettingError
from hfneg.models.kinds import BI_ENCODER, MULTI_VECTOR, kind_of
from hfneg.models.weights import name_of
from hfneg.pipeline.recipe import SLOTS, Recipe
from hfneg.pipeline.recipe_text import replaced
from hfneg.steps.filters import BelowPositives, Filter, Margin
from hfneg.steps.model_step import SETTINGS, ModelStep
from hfneg.steps.retrievers import BM25, Dense, Retriever
from hfneg.steps.short import Fill
from hfneg.steps.teachers import BiEncoderTeacher, CrossEncoderTeacher, EndpointTeacher, Teacher

log = logging.getLogger(__name__)

SEARCH = ("index", "search_parameters", "batch_size")
"""Settings of `Dense` that stay with another model; prompts, revision and length belong to the model."""

JUDGING = ("scale", "dtype", "batch_size", "engine")
"""The same of a teacher."""


def recipe_of(
    given: Recipe | str | Path | None = None,
    *,
    model: Any = None,
    teacher: Any = None,
    n: int | None = None,
    k: int | None = None,
    trust: bool = False,
) -> Recipe:
    """A recipe, or the usual one, with what was said beside it.

    Args:
        given: a Recipe, the path of its YAML file, or the name of one that comes with hfneg.
        model: for its one `Dense`: a name, a folder, an encoder in memory, or a `Dense`.
        teacher: a name, a folder, the URL of a server, a model in memory, or a `Teacher`.
        n: of the sampler. k: candidates per source.
        trust: load components that a file names by import path.

    Raises RecipeError or SettingError where the recipe has no place for what was said.
    """
    recipe = usual(model, teacher) if given is None else _loaded(given, trust)
    slots: dict[str, Any] = {}
    if given is not None and model is not None:
        slots |= _with_model(recipe, model)
    if given is not None and teacher is not None:
        slots["teacher"] = _judge(teacher, recipe.teacher)
    if n is not None:
        slots["sampler"] = replaced(recipe.sampler, "n", n)
    if k is not None:
        slots["k"] = k
    if slots:
        recipe = Recipe(**{name: getattr(recipe, name) for name in SLOTS} | slots)
    if "teacher" in slots:
        _say_where_unused(recipe)
    return recipe


def usual(model: Any = None, teacher: Any = None) -> Recipe:
    """What is mined with where no recipe is given."""
    filters: tuple[Filter, ...] = ()
    if teacher is not None:
        filters = (BelowPositives(quantile=0.1),)
    elif model is not None:
        filters = (Margin(relative=0.05, by=Dense.name),)
    return Recipe(
        retrievers=[BM25(), *(() if model is None else (_dense(model),))],
        teacher=None if teacher is None else _judge(teacher),
        filters=filters,
        short=Fill(),
    )


def _loaded(given: Any, trust: bool) -> Recipe:
    if isinstance(given, Recipe):
        return given
    if not isinstance(given, str | Path):
        raise RecipeError(
            f"recipe is a {type(given).__name__}; expected a Recipe, the path of its YAML file, the name of one that "
            "comes with hfneg ('hybrid'), or None (Recipe(k=50, sampler=TakeTop(5)) makes one)"
        )
    return Recipe.load(given, trust=trust)


def _dense(model: Any, before: Dense | None = None) -> Dense:
    if isinstance(model, Dense):
        return model
    if isinstance(model, Retriever):
        raise SettingError(
            f"model={model!r} is a retriever, not a model; say recipe=Recipe(retrievers=[...]) for what is to search"
        )
    if isinstance(model, str | os.PathLike):
        model = os.fspath(model)
    return Dense(model, **({} if before is None else {name: getattr(before, name) for name in SEARCH}))


def _with_model(recipe: Recipe, model: Any) -> dict[str, Any]:
    """The slots in which the recipe's model is named, with another one."""
    dense = [step for step in recipe.retrievers if isinstance(step, Dense)]
    if len(dense) != 1:
        has = ", ".join(type(step).__name__ for step in recipe.retrievers)
        raise RecipeError(
            f"model={name_of(model)!r} has no place in this recipe: its retrievers are {has}, and one of them must be "
            "a Dense; "
            + (
                "say which model is meant by its setting (retrievers.0.model=...)"
                if dense
                else "give another recipe ('hybrid', 'dense'), or no recipe, which searches with BM25 and the model"
            )
        )
    (before,) = dense
    after = _dense(model, before)
    same = [step for step in recipe.filters if getattr(step, "model", None) == before.model]
    lost = [
        name
        for name in ("query_prompt", "document_prompt")
        if any(getattr(step, name, None) for step in (before, *same)) and not getattr(after, name)
    ]
    if lost:
        log.info(
            "%s of %s left out: a prompt belongs to its model (%s has its own, or --set says one)",
            " and ".join(lost),
            name_of(before.model),
            name_of(after.model),
        )
    filters = [_like(step, after) if step in same else step for step in recipe.filters]
    return {"retrievers": [after if step is before else step for step in recipe.retrievers], "filters": filters}


def _like(step: Any, dense: Dense) -> Any:
    """The filter with the model of `dense`, asked as that asks it, so that the two share its vectors."""
    if not isinstance(step, ModelStep):
        return replaced(step, "model", dense.model)
    asked = [name for name in ("model", *SETTINGS) if name in step.settings() and name not in SEARCH]
    return dataclasses.replace(step, **{name: getattr(dense, name) for name in asked})


def _judge(teacher: Any, before: Teacher | None = None) -> Teacher:
    """A teacher of what was given, with those settings of the one `before` that are not its model's own."""
    if isinstance(teacher, Teacher):
        return teacher
    if isinstance(teacher, str | os.PathLike):
        teacher = os.fspath(teacher)
    kind: type[Any] = CrossEncoderTeacher
    if isinstance(teacher, str) and teacher.startswith(("http://", "https://")):
        kind = EndpointTeacher
    elif kind_of(teacher) in (BI_ENCODER, MULTI_VECTOR):
        kind = BiEncoderTeacher
    elif callable(teacher) and not hasattr(teacher, "predict"):
        raise SettingError(
            f"teacher={teacher!r} is a function, whose scores need a name to be kept by: "
            "teacher=FunctionTeacher(function, id='judge-1')"
        )
    kept: Mapping[str, Any] = {}
    if before is not None and type(before) is kind:
        settings = before.settings()
        kept = {name: settings[name] for name in JUDGING if name in settings}
    judge: Teacher = kind(teacher, **kept)
    return judge


def _say_where_unused(recipe: Recipe) -> None:
    """A teacher that no step looks at scores what is taken and drops nothing, which is seldom meant."""
    steps = (*recipe.filters, recipe.sampler)
    asks = [step for step in steps if step.reads_teacher() or getattr(step, "by", "") is None]
    if not asks and recipe.promote is None:
        log.warning(
            "no filter of the recipe looks at the teacher's scores: it scores the negatives and drops none "
            "(filters=BelowPositives(quantile=0.1) would, or the recipe 'teacher')"
        )


"""What a step compares by that looks at the teacher where there is one."""
