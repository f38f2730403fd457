"""What the command line prints: tables a person can read."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hfneg.errors import SettingError, near_miss
from hfneg.verdicts import MEANING


def summary(console: Console, folder: Path, seconds: float) -> None:
    """The end of ``hfneg mine``: what became of the candidates, and where the result lies."""
    facts: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    table = Table(title=f"{facts['candidates']:,} candidates of {facts['anchors']:,} anchors", title_justify="left")
    table.add_column("verdict")
    table.add_column("candidates", justify="right")
    table.add_column("share", justify="right")
    table.add_column("it ...", style="dim")
    total = max(facts["candidates"], 1)
    for name, count in facts["verdicts"].items():
        if count:
            style = "green" if name == "selected" else None
            meaning = MEANING.get(name, "was dropped by the filter of this name")
            table.add_row(name, f"{count:,}", f"{count / total:.1%}", meaning, style=style)
    console.print(table)
    console.print(_counts(facts), highlight=False)
    for line in _remarks(facts):
        console.print(line, highlight=False)
    console.print(f'{seconds:.1f} s. Open it: load_dataset("{folder}")', highlight=False, markup=False)


def _counts(facts: Mapping[str, Any]) -> str:
    rows = sum(facts["rows"].values())
    return (
        f"{facts['negatives']:,} hard negatives for {rows:,} rows ({facts['anchors']:,} unique anchors), from "
        f"{facts['documents']:,} documents"
    )


def _remarks(facts: Mapping[str, Any]) -> list[str]:
    remarks = []
    wanted = facts["wanted_per_anchor"]
    short = sum(count for n, count in facts["negatives_per_anchor"].items() if int(n) < wanted)
    if short:
        remarks.append(f"[yellow]{short:,} anchors have fewer than the {wanted} negatives asked for[/yellow]")
    if facts["added_positives"]:
        remarks.append(f"{facts['added_positives']:,} positives were not in the corpus and were added to it")
    hidden = facts.get("hidden_positives")
    if hidden:
        remarks.append(
            f"hidden positives among the negatives: {hidden['hidden_found']:,} of {hidden['negatives']:,} "
            f"({hidden['share_of_negatives']:.1%}); mining did not know these {hidden['hidden']:,} relevant documents"
        )
    if not facts["exact"]:
        remarks.append("searched with an approximate index: another machine may find slightly other candidates")
    return remarks


def formats(console: Console, known: Mapping[str, Callable[..., Any]]) -> None:
    """Name and first line of each format."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, function in known.items():
        text = inspect.getdoc(function) or ""
        table.add_row(name, text.split("\n\n")[0].replace("\n", " "))
    console.print(table)


def accepted(known: Mapping[str, Callable[..., Any]], name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The given options, each of which the format must know; those not given are left to the format."""
    if name not in known:
        raise SettingError(f"there is no format {name!r}; there are {', '.join(known)}.{near_miss(name, known)}")
    parameters = inspect.signature(known[name]).parameters
    for option in ("n", "scores"):
        if options[option] is not None and option not in parameters:
            raise SettingError(f"the format {name!r} has no option --{option}")
    return {key: value for key, value in options.items() if value is not None and key in parameters}
