"""The options that fill a slot of a recipe, and what to type where a command has none for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

HOW = "How"


def _shortcut(name: str, metavar: str, help: str) -> Any:
    return typer.Option(f"--{name}", metavar=metavar, rich_help_panel=HOW, help=help, show_default=False)


def _slot(name: str) -> Any:
    return typer.Option(f"--{name}", hidden=True, help=f"As --set {name}=...")


Recipe = Annotated[
    str | None,
    _shortcut("recipe", "NAME", "One of hfneg recipes, or a YAML file; else BM25, with --model both, no anchor short."),
]
Model = Annotated[str | None, _shortcut("model", "NAME", "The bi-encoder that searches: Hub id or folder.")]
Teacher = Annotated[str | None, _shortcut("teacher", "NAME", "What judges: Hub id, folder, or URL of a server.")]
N = Annotated[int | None, _shortcut("n", "N", "Negatives per anchor.")]
K = Annotated[int | None, _shortcut("k", "N", "Candidates per source.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SETTING",
        rich_help_panel=HOW,
        help="Change the recipe: deeper=500, sampler.n=5, filters=Margin(relative=0.05). May be repeated.",
        show_default=False,
    ),
]
Retrievers = Annotated[str | None, _slot("retrievers")]
Fusion = Annotated[str | None, _slot("fusion")]
Guard = Annotated[str | None, _slot("guard")]
Filters = Annotated[str | None, _slot("filters")]
Promote = Annotated[str | None, _slot("promote")]
Sampler = Annotated[str | None, _slot("sampler")]
Deeper = Annotated[str | None, _slot("deeper")]
Short = Annotated[str | None, _slot("short")]

SETTINGS = {"n": "sampler.n=5", "k": "k=200", "deeper": "deeper=500"}
"""Of options that are numbers, what is typed instead where a command has --set alone."""


def steps(
    recipe: str | None,
    model: str | None,
    teacher: str | None,
    slots: Mapping[str, Any],
    settings: Sequence[str],
    trust: bool,
) -> Any:
    """What was typed, as a `hfneg.Recipe`; `slots` by their options, of which None were not typed."""
    from hfneg.pipeline.recipe_text import parse_step
    from hfneg.pipeline.shortcuts import recipe_of

    def named(name: str | None) -> Any:
        return parse_step(name, trust=trust) if name is not None and name.endswith(")") else name

    typed = {("sampler.n" if slot == "n" else slot): value for slot, value in slots.items() if value is not None}
    said = [f"{slot}={value}" for slot, value in typed.items() if slot != "sampler.n"]
    said += [f"sampler.n={typed['sampler.n']}"] if "sampler.n" in typed else []  # of the sampler that was typed
    return recipe_of(recipe, model=named(model), teacher=named(teacher), trust=trust).with_settings(
        [*said, *settings], trust=trust
    )


class Commands(TyperGroup):
    """hfneg's commands; a slot of a recipe that one of them has no option for is answered with ``--set``."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            option = getattr(error, "option_name", None)
            command = getattr(getattr(error, "ctx", None), "command", None)
            known = [name for parameter in getattr(command, "params", ()) for name in parameter.opts]
            if option is not None and "--set" in known and (instead := _instead(option)) is not None:
                error.message = f"a recipe's setting is said as --set {instead}, not as {option}"  # type: ignore[attr-defined]
                error.possibilities = None  # type: ignore[attr-defined]
            raise


def _instead(option: str) -> str | None:
    """The setting that does what an option of this name would."""
    from hfneg.pipeline.recipe import SLOTS

    name = option.lstrip("-").replace("-", "_")
    if name not in (*SLOTS, "n", "model"):
        return None
    return SETTINGS.get(name, {"model": "retrievers.dense.model=..."}.get(name, f"{name}=..."))
