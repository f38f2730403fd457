"""The page: one template, filled; style and script inside it, allowed by their hashes and nothing else."""

from __future__ import annotations

import base64
import hashlib
import html
from functools import cache
from pathlib import Path
from typing import Any

from hfneg import __version__
from hfneg.review.diff.result import DEPTHS, Diff
from hfneg.review.report import charts
from hfneg.review.report.charts import Chart
from hfneg.review.report.drawing import number, share
from hfneg.runs.folder import fit
from hfneg.runs.folder.browse.entries import as_json
from hfneg.runs.folder.browse.texts import Documents
from hfneg.runs.folder.judgement import judge
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.folder.statistics import Statistics, group_of
from hfneg.steps import guard_takes
from hfneg.steps.filters import meaning_of

HERE = Path(__file__).parent
HUB_TEXT = 200
SHOWN_HUBS = 15
KIND_WORDS = {"score": "Score that ranks", "teacher": "Teacher's score"}


def render(
    ledger: MinedLedger,
    statistics: Statistics,
    sample: dict[str, Any],
    documents: Documents,
    words: str,
    found: Diff | None,
) -> str:
    """The whole page. `words` say how the sample was drawn; `found` compares with another round."""
    style, script = _file("report.css"), _file("report.js")
    parts = _parts(statistics, ledger)
    contents = [("summary", "Summary"), *((part["anchor"], part["title"]) for part in parts)]
    contents += [("rounds", "Rounds")] if found else []
    text: str = _template().render(
        version=__version__,
        name=ledger.folder.resolve().name,
        head=head_of(ledger.folder.resolve().name),
        summary=ledger.summary,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        contents=[*contents, ("hubs", "Hubs"), ("sample", "Sample")],
        judgement=judge(ledger.folder, ledger.summary, statistics),
        tiles=_tiles(ledger, statistics),
        remarks=_remarks(ledger, statistics),
        facts=_facts(ledger),
        parts=parts,
        diff=found,
        fates=charts.fates(found) if found else None,
        then_and_now=_then_and_now(found) if found else [],
        used=statistics.used,
        hubs=_hubs(statistics, documents),
        sample_words=words,
        notes=[documents.note] if documents.note else [],
        data=as_json({**sample, **_legend(ledger)}),
    )
    return text


def head_of(name: str) -> str:
    """The line by which the page of a folder with this name is known again."""
    return f'<meta name="hfneg-folder" content="{html.escape(name)}">'


def _legend(ledger: MinedLedger) -> dict[str, Any]:
    """What the codes of the sample mean."""
    return {
        "verdicts": {
            str(code): {"name": name, "meaning": meaning_of(name), "group": group_of(name)}
            for code, name in sorted(ledger.verdict_names.items())
        },
        "sources": list(ledger.names),
        "score": ledger.names[0] if len(ledger.names) == 1 else "fused",
    }


def _tiles(ledger: MinedLedger, statistics: Statistics) -> list[tuple[str, str, str]]:
    """(what, how many, a remark)"""
    facts = ledger.summary
    wanted, anchors = int(facts["wanted_per_anchor"]), max(statistics.anchors, 1)
    rows = sum(facts["rows"].values())
    tiles = [
        (
            "Hard negatives",
            f"{statistics.negatives:,}",
            f"{number(statistics.negatives / anchors)} of {wanted} an anchor",
        ),
        ("Anchors", f"{statistics.anchors:,}", f"in {rows:,} rows"),
        ("Documents", f"{facts['documents']:,}", f"{share(statistics.used, facts['documents'])} are negatives"),
        (
            "Candidates",
            f"{statistics.candidates:,}",
            f"{share(statistics.negatives, statistics.candidates)} became negatives",
        ),
    ]
    if teacher := facts.get("teacher"):
        asked, stored = teacher["pairs_asked"], teacher["pairs_from_store"]
        tiles.append(("Teacher's pairs", f"{asked:,}", f"and {stored:,} from the store"))
    return tiles


def _remarks(ledger: MinedLedger, statistics: Statistics) -> list[str]:
    facts = ledger.summary
    remarks = []
    if facts["added_positives"]:
        remarks.append(f"{facts['added_positives']:,} positives were not in the corpus, and were added to it.")
    if empty := facts.get("empty_documents"):
        remarks.append(f"{empty:,} documents are empty or only white space: they are never candidates.")
    remarks += [f"{line[0].upper()}{line[1:]}." for line in map(guard_takes.in_words, facts.get("guard_takes", []))]
    if not facts["exact"]:
        remarks.append("The index is approximate: another machine may find slightly other candidates.")
    if line := fit.warning(facts.get("teacher", {}).get("fit", {}), ledger.names):
        remarks.append(f"{line[0].upper()}{line[1:]}.")
    if (why := facts.get("teacher", {}).get("scored_in_full_because")) is not None:
        remarks.append(f"The teacher scored every candidate that was left: {why}.")
    return remarks


def _facts(ledger: MinedLedger) -> list[tuple[str, str]]:
    """What made it and what it cost."""
    facts = ledger.summary
    teacher = facts.get("teacher")
    size = sum(path.stat().st_size for path in ledger.folder.rglob("*.parquet"))
    rows = [("Sources", ", ".join(ledger.names)), ("Anchor, positive", ", ".join(facts["columns"].values()))]
    rows += [("Splits", ", ".join(f"{name} ({n:,})" for name, n in facts["rows"].items()))]
    if teacher:
        rows += [
            ("Teacher", str(teacher["teacher"])),
            ("Its digest", str(teacher["digest"])),
            ("Its scale", str(teacher["scale"])),
            ("Pairs it scored", f"{teacher['pairs_asked']:,}"),
            ("Pairs from the store", f"{teacher['pairs_from_store']:,}"),
            ("Pairs it was spared", f"{teacher['candidates_not_examined']:,}"),
        ]
        if "by" in teacher.get("fit", {}):
            rows.append(("Positives above candidates of like rank", fit.in_words(teacher["fit"], ledger.names)))
        if "pairs_spared" in teacher:
            rows.append(("Pairs its second was spared", f"{teacher['pairs_spared']:,}"))
    else:
        rows.append(("Teacher", "none"))
    return [
        *rows,
        ("Corpus", f"{facts['documents']:,} documents, digest {facts['corpus']}"),
        ("On disk", f"{size / 1e6:,.1f} MB"),
        ("Mined by", f"hfneg {facts['hfneg']}"),
    ]


def _parts(statistics: Statistics, ledger: MinedLedger) -> list[dict[str, Any]]:
    """The sections with charts."""
    wanted = int(ledger.summary["wanted_per_anchor"])
    kinds = [kind for kind in ("teacher", *ledger.names) if kind in statistics.scores] or ["score"]
    distributions = [
        charts.scores(statistics.scores[kind], _kind_words(kind, ledger), _caption(kind, statistics, ledger))
        for kind in kinds
    ]
    spread: list[Chart | None] = []
    for kind in [kind for kind in kinds if kind in statistics.hardness and statistics.hardness[kind].of_all.count][:2]:
        spread += _spreads(kind, statistics, ledger)
    return [
        _part(
            "yield",
            "Yield",
            "What became of the candidates.",
            [charts.funnel(statistics), charts.per_anchor(statistics, wanted)],
        ),
        _part(
            "scores",
            "Scores",
            "How the documents were scored, by what became of them. Each row is drawn to its own height; the outermost "
            "0.1% at each end are left out of the picture.",
            distributions,
        ),
        _part(
            "hardness",
            "Hardness",
            "Score of a negative minus the mean score of its anchor's positives: the nearer to zero, the harder; right "
            "of the dashed line it is scored above the positives. A box is the middle half, its line the 10% to 90% "
            "range.",
            spread,
        ),
    ]


def _part(anchor: str, title: str, words: str, drawn: list[Chart] | list[Chart | None]) -> dict[str, Any]:
    shown = [chart for chart in drawn if chart is not None]
    missing = "" if shown else " There is nothing to show: no source of this run scores positives."
    return {"anchor": anchor, "title": title, "words": words + missing, "charts": shown}


def _kind_words(kind: str, ledger: MinedLedger) -> str:
    if kind == "score" and len(ledger.names) == 1:
        return f"Score by {ledger.names[0]}"
    return KIND_WORDS.get(kind, f"Score by {kind}")


def _caption(kind: str, statistics: Statistics, ledger: MinedLedger) -> str:
    if kind != "teacher" or statistics.examined is None:
        several = len(ledger.names) > 1
        return "What this source found; known positives it can score." if several else "All candidates."
    if not statistics.lazy:
        return "All candidates that were left for the teacher."
    return (
        f"Examined prefix: the teacher was asked about {statistics.examined:,} of {statistics.candidates:,} "
        "candidates (and all positives), in the sampler's order and until enough had survived. The others would look "
        "different."
    )


def _spreads(kind: str, statistics: Statistics, ledger: MinedLedger) -> list[Chart | None]:
    hardness = statistics.hardness[kind]
    words = _kind_words(kind, ledger)
    axis = f"{words[0].lower()}{words[1:]}, minus the positives'"
    missing = hardness.of_all.missing
    caption = f"{missing:,} negatives have no such score, or their positives have none." if missing else ""
    by_source = hardness.by_source if len(ledger.names) > 1 else {}
    return [
        charts.spreads(by_source, f"By source: {words[0].lower()}{words[1:]}", axis, caption),
        charts.spreads(
            charts.in_rank_order(hardness.by_rank), f"By rank: {words[0].lower()}{words[1:]}", axis, caption
        ),
    ]


def _hubs(statistics: Statistics, documents: Documents) -> list[dict[str, Any]]:
    hubs = [hub for hub in statistics.hubs if hub.anchors > 1][:SHOWN_HUBS]
    found = documents.look_up([hub.row for hub in hubs])
    return [
        {
            "anchors": hub.anchors,
            "share": share(hub.anchors, statistics.anchors),
            "id": found[hub.row][0][:HUB_TEXT],
            "text": _short(found[hub.row][1]),
        }
        for hub in hubs
    ]


def _short(text: str | None) -> str:
    if text is None:
        return "text not at hand"
    return text if len(text) <= HUB_TEXT else f"{text[:HUB_TEXT]} \u2026"


def _then_and_now(found: Diff) -> list[tuple[str, str, str]]:
    """Rows of the table that sets two rounds side by side."""
    moves, n = found.positives, found.positives.anchors
    rows = [
        ("Negatives", *(f"{of.negatives:,}" for of in (found.a, found.b))),
        ("Positive found", *(share(count, n) for count in moves.found)),
        *((f"Positive in the first {depth}", *(share(c, n) for c in moves.within[depth])) for depth in DEPTHS),
        ("Its mean reciprocal rank", *(f"{value:.3f}" for value in moves.mrr)),
        ("Positives that moved up, down", "", f"{share(moves.up, n)}, {share(moves.down, n)}"),
        ("New negatives", "", share(found.new_negatives, max(found.b.negatives, 1))),
        ("Earlier negatives above the positive", share(found.above_positive, found.negatives), ""),
        ("Of these, now below it", "", share(found.fell_below_positive, found.above_positive)),
    ]
    return [(row[0], row[1], row[2]) for row in rows]


def _file(name: str) -> str:
    return "\n" + (HERE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a Content-Security-Policy names an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("report.html.jinja")
