"""``hfneg reproduce``: make a published round again, and say whether the same comes out."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from hfneg.cli.common.app import SHARE, Json, Overwrite, Quiet, Resume, Trust, command, say
from hfneg.cli.common.ending import goes_on

EXIT_DIFFERENT = 1


def _again(options: dict[str, Any], began: float) -> str:
    return goes_on(options["to"], overwrite=options["overwrite"])


@command(SHARE, output="--resume, --overwrite, --out", again=_again, hushed_by=("quiet", "json"))
def reproduce(
    repo: Annotated[str, typer.Argument(metavar="REPO", help="org/name@round-002; without @ the newest round.")],
    to: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="To mine into.")] = Path("reproduced"),
    pairs: Annotated[
        str | None, typer.Option(metavar="PAIRS", help="Where they did not come from the Hub; as for hfneg mine.")
    ] = None,
    corpus: Annotated[
        str | None, typer.Option(metavar="CORPUS", help="Where it did not come from the Hub; as for hfneg mine.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="A model that is not on the Hub (local:NAME in the recipe)."),
    ] = None,
    tolerance: Annotated[float, typer.Option(metavar="X", help="By how much a score may differ.")] = 1e-5,
    trust: Trust = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run the recipe of a published round again, on its sources at their revisions, and compare.

    Ends with 0 where the result is identical or equal within the tolerance, 1 where it differs, else as all commands.

    Examples:

        hfneg reproduce org/name@round-002

        hfneg reproduce org/name --pairs pairs.parquet --corpus docs.jsonl

        hfneg reproduce org/name@round-002 --model checkpoint=path/to/it
    """
    from hfneg.hub.reproduce import reproduce as run

    found = run(
        repo,
        out=to,
        pairs=pairs,
        corpus=corpus,
        models=_models(model or []),
        tolerance=tolerance,
        trust=trust,
        resume=resume,
        overwrite=overwrite,
    )
    if json:
        typer.echo(json_module.dumps(found.to_dict(), indent=2))
    else:
        for line in _lines(found):
            say(line)
    if not found.ok:
        raise typer.Exit(EXIT_DIFFERENT)


def _models(given: list[str]) -> dict[str, str]:
    from hfneg.errors import SettingError

    for text in given:
        if "=" not in text:
            raise SettingError(f"--model {text}: write NAME=PATH, with the name that the recipe has behind local:")
    return dict(text.split("=", 1) for text in given)


def _lines(found: Any) -> list[str]:
    lines = [f"{found.status}: round {found.round} of {found.repo} ({found.commit[:12]})"]
    if found.status != "identical":
        difference = "" if found.largest_difference is None else f"; largest difference {found.largest_difference:.2g}"
        lines.append(
            f"{found.rows:,} rows: {found.same_ids:.2%} with the same negatives in order; {found.same_negatives:.2%} "
            f"of the negatives are negatives again{difference} (tolerance {found.tolerance:g})"
        )
    if found.inputs_differ:
        lines.append(f"not the same as then: {', '.join(found.inputs_differ)}")
    lines += [f"{name}: {then} then, {now} now" for name, (then, now) in found.versions.items()]
    return lines
