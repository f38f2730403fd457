"""What ``hfneg mine --dry-run`` prints: how everything was read, three examples, and what would be searched."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console

from hfneg.runs.preview import Preview, PreviewRow

WIDE = 100


def report(console: Console, found: Preview) -> None:
    """All of it."""
    _roles(console, "pairs", found.pairs)
    _roles(console, "corpus", found.corpus)
    counts = f"{found.anchors:,} anchors of {found.rows:,} rows, {found.documents:,} documents"
    more = [
        (found.given, "given negatives, which come before mined ones"),
        (found.added, "documents added, which the corpus lacked"),
        (found.left_out, "rows left out, whose positives the corpus lacks"),
    ]
    _say(console, "; ".join([counts, *(f"{count:,} {what}" for count, what in more if count)]))
    how = ", ".join(
        f"{count:,} by {way}" if way not in ("added", "left out") else f"{count:,} {way}"
        for way, count in found.matched.items()
    )
    _say(console, f"positives matched: {how}")
    scripts = ", ".join(f"{name} {share:.1%}" for name, share in found.scripts.items())
    _say(console, f"scripts: {scripts or 'no letters'}")
    for example in found.examples:
        _example(console, example)
    _say(console, "would be done:", bold=True)
    for step in found.search:
        _say(console, f"  {step}")
    _say(
        console, f"about {_duration(found.seconds)} for the search on this machine, by a rehearsal; nothing was written"
    )


def _roles(console: Console, what: str, roles: Mapping[str, str]) -> None:
    _say(console, what, bold=True)
    for role, name in roles.items():
        _say(console, f"  {role:<16} {name}")


def _example(console: Console, example: PreviewRow) -> None:
    _say(console, f"anchor            {_short(example.anchor)}", bold=True)
    for role, texts in (("positive", example.positives), ("given negative", example.negatives)):
        for text in texts[:3]:
            _say(console, f"  {role:<16}{_short(text)}")
        if len(texts) > 3:
            _say(console, f"  {role:<16}and {len(texts) - 3:,} more")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= WIDE else f"{text[: WIDE - 3]}..."


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "a second"
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if not hours else f"{hours} h {minutes % 60} min"


def _say(console: Console, line: str, *, bold: bool = False) -> None:
    console.print(line, style="bold" if bold else None, highlight=False, markup=False, emoji=False, soft_wrap=True)
