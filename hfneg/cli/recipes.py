"""Recipes on the command line: ``hfneg recipes``, and the options that fill a slot of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from hfneg.errors import RecipeError
from hfneg.pipeline import recipes

out = Console()

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


def _list() -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("recipe", no_wrap=True)
    table.add_column("needs", no_wrap=True)
    table.add_column("for")
    table.add_column("costs")
    for one in recipes.named():
        needs = [word for word, name in (("model", one.model), ("teacher", one.teacher)) if name is not None]
        table.add_row(one.name, ", ".join(needs) or "-", one.purpose, one.costs)
    out.print(table, highlight=False, markup=False)
    out.print(
        "\nhfneg mine PAIRS --recipe NAME [--model M] [--teacher T]   # others than the recipe's own\n"
        "hfneg recipes show NAME > mine.yaml                       # to change it: --recipe mine.yaml",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def register(app: typer.Typer, errors: Callable[..., AbstractContextManager[None]]) -> None:
    """Add ``hfneg recipes`` and ``hfneg recipes show``."""
    commands = typer.Typer(
        invoke_without_command=True, help="The recipes that come with hfneg: what each needs, costs and is for."
    )

    @commands.callback()
    def list_command(ctx: typer.Context) -> None:
        """The recipes that come with hfneg: what each needs, costs and is for.

        Examples:

            hfneg recipes

            hfneg recipes show hybrid
        """
        if ctx.invoked_subcommand is None:
            with errors(""):
                _list()

    @commands.command(name="show")
    def show_command(
        name: Annotated[str, typer.Argument(metavar="NAME", help="As hfneg recipes lists them.", show_default=False)],
    ) -> None:
        """Print a recipe as YAML, with where it comes from.

        Examples:

            hfneg recipes show nv_retriever > mine.yaml
        """
        with errors(""):
            if name not in recipes.names():
                raise RecipeError(f"there is no recipe {name!r}; {recipes.known(name)}")
            typer.echo(recipes.text_of(name), nl=False)

    app.add_typer(commands, name="recipes")
