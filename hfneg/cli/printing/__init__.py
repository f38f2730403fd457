"""What the command line prints: tables a person can read."""

from __future__ import annotations

import inspect
import json
import math
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hfneg.base import columns
from hfneg.base.plain_text import plain, several
from hfneg.data.corpus import Corpus
from hfneg.errors import InputError, SettingError, StoreError, near_miss
from hfneg.runs.folder import fit, statistics as statistics_of
from hfneg.runs.folder.judgement import false_ones, why_short
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.folder.statistics import Statistics
from hfneg.steps import guard_takes
from hfneg.steps.filters import meaning_of


def summary(console: Console, folder: Path, seconds: float) -> None:
    """The end of ``hfneg mine``: how many negatives, what became of the candidates, and what to do next."""
    ledger = MinedLedger(folder)
    ending(console, folder, ledger.summary, statistics_of.of(ledger), seconds)


def ending(console: Console, folder: Path, facts: Mapping[str, Any], statistics: Statistics, seconds: float) -> None:
    """The same of what was read."""
    console.print(_counts(facts), style="bold", highlight=False)
    console.print(_verdicts(facts))
    for line in _remarks(facts, statistics):
        console.print(line, highlight=False)
    _examples(console, folder, facts)
    rows = several(sum(facts["rows"].values()), "row")
    line = f"\n{rows} written to {folder} in {_duration(seconds)}. Next:"
    console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)
    steps = _next(folder, facts)
    for code, what in steps.items():
        line = f"  {code}  # {what}" if what else f"  {code}"
        console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)


def _next(folder: Path, facts: Mapping[str, Any]) -> dict[str, str]:
    """What to type -> what it gives: two lines to train with, and how to look closer."""
    shell = shlex.quote(str(folder))
    steps = {**_training(folder, facts), f"hfneg show {shell}": "anchors, and why candidates were rejected"}
    if "hidden_positives" not in facts and "calibration" not in facts:
        steps[f"hfneg calibrate {shell}"] = "how many negatives are false: not measured yet"
    return steps


def _training(folder: Path, facts: Mapping[str, Any]) -> dict[str, str]:
    """Lines that run as they stand; where the positives are ids, two more of them, which look up their texts."""
    name, split = (json.dumps(text, ensure_ascii=False) for text in (str(folder), next(iter(facts["rows"]))))
    given = facts.get("columns", {"anchor": "anchor", "positive": "positive"})
    n = min(facts["wanted_per_anchor"], max(map(int, facts["negatives_per_anchor"]), default=0))
    named = f"{given['anchor']}, {given['positive']}, negative_1 .. {n}"
    opened = f"datasets.load_dataset({name}, split={split})"
    first = {"import datasets, hfneg": f"train: {named}"}
    if facts.get("positives_are") != "id":
        return {**first, f"train = hfneg.formats.tuples({opened})": ""}
    column = json.dumps(given["positive"], ensure_ascii=False)
    return {
        **first,
        f'rows, corpus = {opened}, hfneg.Corpus("{facts["corpus"]}")': "",
        f"rows = rows.map(lambda row: {{{column}: corpus.texts_of_ids(row[{column}])}})": "ids become texts",
        "train = hfneg.formats.tuples(rows)": "",
    }


def _examples(console: Console, folder: Path, facts: Mapping[str, Any]) -> None:
    """Three rows: the anchor, its first positive, its hardest negative, each on one line of the terminal."""
    files = sorted((folder / "data").glob("*.parquet"))
    if not files or "columns" not in facts:
        return
    anchor, positive = (facts["columns"][role] for role in ("anchor", "positive"))
    names = [anchor, positive, columns.NEGATIVES, columns.NEGATIVE_SCORES]
    batch = next(pq.ParquetFile(files[0]).iter_batches(100, columns=names), None)
    rows = [row for row in (batch.to_pylist() if batch is not None else ()) if row[columns.NEGATIVES]]
    of_id = facts.get("positives_are") == "id"
    for row in list({row[anchor]: row for row in reversed(rows)}.values())[:-4:-1]:
        given = row[positive][0] if isinstance(row[positive], list) else row[positive]
        given = _text_of(facts, given) if of_id else given
        console.print()
        for sign, text, style in (
            ("?", row[anchor], "bold"),
            ("+", given, "green"),
            ("-", _hardest(row[columns.NEGATIVES], row[columns.NEGATIVE_SCORES]), "red"),
        ):
            console.print(Text(f"{sign} {plain(str(text))}", style=style), no_wrap=True, overflow="ellipsis")


def _text_of(facts: Mapping[str, Any], id: Any) -> str:
    try:
        return str(Corpus(facts["corpus"]).texts_of_ids(id))
    except (StoreError, InputError):
        return str(id)


def _hardest(negatives: list[str], scores: list[float | None]) -> str:
    """The negative with the best score; one that was not retrieved has none."""
    known = [-math.inf if score is None or math.isnan(score) else score for score in scores]
    return negatives[known.index(max(known))]


def _counts(facts: Mapping[str, Any]) -> str:
    return (
        f"{several(facts['negatives'], 'hard negative')} for {several(facts['anchors'], 'anchor')} "
        f"from {several(facts['documents'], 'document')}"
    )


def _verdicts(facts: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("candidates", justify="right")
    table.add_column("share", justify="right")
    table.add_column("verdict", no_wrap=True)
    table.add_column("because it", style="dim")
    total = max(facts["candidates"], 1)
    for name, count in facts["verdicts"].items():
        if count:
            style = "green" if name == "selected" else None
            table.add_row(f"{count:,}", f"{count / total:.1%}", name, meaning_of(name), style=style)
    return table


def _remarks(facts: Mapping[str, Any], statistics: Statistics) -> list[str]:
    remarks = []
    wanted = facts["wanted_per_anchor"]
    short = sum(count for n, count in facts["negatives_per_anchor"].items() if int(n) < wanted)
    if short:
        has = "has" if short == 1 else "have"
        remarks.append(f"[yellow]{several(short, 'anchor')} {has} fewer than the {wanted} asked for[/yellow]")
    for source, count in facts.get("anchors_without_candidates", {}).items():
        if count:
            remarks.append(f"[yellow]{source} has found no document for {several(count, 'anchor')}[/yellow]")
    remarks += _shortfall_lines(facts)
    if why := why_short(statistics):
        remarks.append(f"  why: {escape(why)}")
    given = facts.get("given_negatives")
    if given:
        remarks.append(f"{several(given['known'], 'given negative')}: {given['taken']:,} come before the mined ones")
    if facts["added_positives"]:
        remarks.append(f"{several(facts['added_positives'], 'positive')} not in the corpus, and added to it")
    if facts.get("empty_documents"):
        remarks.append(f"{several(facts['empty_documents'], 'empty document')}: never a candidate")
    remarks += [f"[yellow]{escape(guard_takes.in_words(took))}[/yellow]" for took in facts.get("guard_takes", [])]
    if "teacher" in facts:
        remarks.append(_teacher_line(facts["teacher"]))
        remarks += _fit_lines(facts)
    false = false_ones(facts, statistics)
    if false.text:
        remarks.append(escape(false.text))
    if not facts["exact"]:
        remarks.append("approximate index: another machine may find slightly other candidates")
    return remarks


def _shortfall_lines(facts: Mapping[str, Any]) -> list[str]:
    """What was done for anchors with too few negatives."""
    lines, deeper, short = [], facts.get("deeper"), facts.get("short", {})
    if deeper and deeper["anchors"]:
        asked = f", {deeper['pairs_asked']:,} pairs scored for it" if "teacher" in facts else ""
        lines.append(
            f"{several(deeper['anchors'], 'anchor')} searched deeper, {deeper['k']:,} candidates per source: "
            f"{deeper['still_short']:,} still short{asked}"
        )
    for name in ("relaxed", "filled"):
        if short.get(name):
            count = several(short[name], "negative")
            lines.append(f"[yellow]{count} {name}[/yellow] ({short['policy']}), for {short['anchors']:,} short anchors")
    return lines


def _teacher_line(teacher: Mapping[str, Any]) -> str:
    asked, stored, spared = (teacher[key] for key in ("pairs_asked", "pairs_from_store", "candidates_not_examined"))
    line = f"teacher: {several(asked, 'pair')} scored, {stored:,} from the store, {spared:,} not needed"
    if "pairs_spared" in teacher:
        line += f"; the second of the cascade was spared {teacher['pairs_spared']:,}"
    why = teacher["scored_in_full_because"]
    return f"{line} (all scored: {why})" if why else line


def _fit_lines(facts: Mapping[str, Any]) -> list[str]:
    """How well the teacher tells positives from candidates, and what to do where it does not."""
    found, names = facts["teacher"].get("fit", {}), tuple(facts["sources"])
    if "by" not in found:
        return []
    lines = [f"known positives above candidates of like rank: teacher {escape(fit.in_words(found, names))}"]
    warning = fit.warning(found, names)
    return [*lines, f"[yellow]{escape(warning)}[/yellow]"] if warning else lines


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    return f"{minutes} min {seconds % 60:.0f} s" if not hours else f"{hours} h {minutes % 60} min"


def exported(console: Console, path: Path, format: str, written: int, opens: bool) -> None:
    """The end of ``hfneg export``."""
    line = f"{several(written, 'row')} as {format} in {path}"
    console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)
    if opens:
        from hfneg.formats.writing import OPENED_BY, kind_of

        code = f'load_dataset("{OPENED_BY[kind_of(path)[0]]}", data_files="{path}")'
        console.print(f"  {code}  # what the trainer eats", highlight=False, markup=False, emoji=False, soft_wrap=True)


def formats(console: Console, *groups: Mapping[str, Callable[..., Any]]) -> None:
    """Name and first sentence of each format: those for sentence-transformers, then other tools' files."""
    titles = ("For the trainers of sentence-transformers, a file (.parquet, .jsonl, .json, .csv):", "For other tools:")
    for title, known in zip(titles, groups, strict=True):
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        for name, function in known.items():
            text = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ")
            table.add_row(f"  {name}", text.replace("`", "").split("; returns")[0].rstrip("."))
        console.print(title, style="bold")
        console.print(table, highlight=False)
    console.print("\nhfneg export MINED --format NAME --out FILE", highlight=False, markup=False)


def accepted(known: Mapping[str, Callable[..., Any]], name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The given options, each of which the format must know; those not given are left to the format."""
    if name not in known:
        raise SettingError(f"there is no format {name!r}; there are {', '.join(known)}.{near_miss(name, known)}")
    parameters = inspect.signature(known[name]).parameters
    for option in ("n", "scores"):
        if options[option] is not None and option not in parameters:
            raise SettingError(f"the format {name!r} has no option --{option}")
    return {key: value for key, value in options.items() if value is not None and key in parameters}
