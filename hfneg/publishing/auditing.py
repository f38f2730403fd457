"""The audit of what is published, in the few words a card has room for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hfneg.auditing import audit


def audited(folder: Path, summary: Mapping[str, Any]) -> dict[str, Any]:
    """``{"ok": ..., "errors": {...}, "warnings": [...], "rows": ..., "negatives": ...}`` over all splits.

    ``errors`` is check -> how many; a check that found nothing is left out.
    """
    splits = list(summary["rows"])
    errors: dict[str, int] = {}
    warnings: set[str] = set()
    rows = negatives = 0
    for split in splits:
        report = audit(str(folder), split=split)
        rows, negatives = rows + report.rows, negatives + report.negatives
        warnings.update(report.warnings)
        for name in report.errors:
            errors[name] = errors.get(name, 0) + int(report[name].count)
    return {"ok": not errors, "errors": errors, "warnings": sorted(warnings), "rows": rows, "negatives": negatives}
