"""Where things lie."""

from __future__ import annotations

from pathlib import Path

SUPPORT = Path(__file__).parent
"""Scripts that tests start as processes of their own lie here, beside what they import."""

ROOT = SUPPORT.parents[1]
RECIPES = ROOT / "recipes"

SHARED = ROOT.parent / "shared"
"""Real collections and models, which may be absent."""
