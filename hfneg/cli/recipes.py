"""``hfneg recipes`` and ``hfneg recipes show``: the recipes that come with hfneg."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from hfneg.cli.common.app import MAKE, app, command, out
from hfneg.cli.common.ending import endings
from hfneg.errors import RecipeError
from hfneg.pipeline import recipes

HELP = "The recipes that come with hfneg: what each needs, costs and is for."

commands = typer.Typer(invoke_without_command=True, help=HELP)
app.add_typer(commands, name="recipes", rich_help_panel=MAKE)


@commands.callback()
def list_all(ctx: typer.Context) -> None:
    """The recipes that come with hfneg: what each needs, costs and is for.

    Examples:

        hfneg recipes

        hfneg recipes show hybrid
    """
    if ctx.invoked_subcommand is None:
        with endings(""):
            _list()


@command(of=commands)
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As hfneg recipes lists them.", show_default=False)],
) -> None:
    """Print a recipe as YAML, with where it comes from.

    Examples:

        hfneg recipes show nv_retriever > mine.yaml
    """
    if name not in recipes.names():
        raise RecipeError(f"there is no recipe {name!r}; {recipes.known(name)}")
    typer.echo(recipes.text_of(name), nl=False)


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
