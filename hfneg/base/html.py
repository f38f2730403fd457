"""Small tables for notebooks: what ``_repr_html_`` of our objects gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

CELL = "text-align:left;vertical-align:top;white-space:normal;max-width:60em"
MOST = 300
"""Characters of a value that are shown."""


def facts(title: str, values: Mapping[str, object]) -> str:
    """A name and a value a line; of a list each item on its own, and nothing for what is None."""
    rows = []
    for name, value in values.items():
        items = value if isinstance(value, list | tuple) else [value]
        rows += [(name if i == 0 else "", _short(item)) for i, item in enumerate(items) if item is not None]
    return table(title, (), rows)


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]], styles: Sequence[str] = ()) -> str:
    """Cells as they are, whatever they hold; `styles` (CSS) of the rows, where they have any."""
    heads = "".join(f'<th style="{CELL}">{escape(name)}</th>' for name in header)
    lines = [f"<tr>{heads}</tr>"] if header else []
    styled = list(styles)
    for i, row in enumerate(rows):
        cells = "".join(f'<td style="{CELL}">{escape(cell)}</td>' for cell in row)
        lines.append(f'<tr style="{escape(styled[i])}">{cells}</tr>' if styled else f"<tr>{cells}</tr>")
    return f"<div><strong>{escape(title)}</strong><table>{''.join(lines)}</table></div>"


def _short(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text if len(text) <= MOST else text[: MOST - 3] + "..."
