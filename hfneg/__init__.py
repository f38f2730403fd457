"""Hard negatives for retrievers and embedding models, as transforms for ``Dataset.map``.

>>> import hfneg
>>> corpus = hfneg.Corpus.from_texts(["Faults slip.", "Waves travel.", "Rocks melt."])
>>> anchors = hfneg.Anchors([{"q": "What slips?", "a": "Faults slip."}], corpus, anchor="q", positive="a")
>>> transform = hfneg.Retrieve(anchors, hfneg.BM25(), k=2)

Names are loaded at first use: ``import hfneg`` loads neither torch nor faiss.
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

__version__ = "0.1.0"


def _homes() -> dict[str, str]:
    """Public name -> the module that it is loaded from, as `__init__.pyi` says for people and type checkers."""
    stub = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    return {
        name.name: str(node.module) for node in stub.body if isinstance(node, ast.ImportFrom) for name in node.names
    }


_HOMES = _homes()

__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        home = _HOMES[name]
        return (
            importlib.import_module(f"hfneg.{name}")
            if home == "hfneg"
            else getattr(importlib.import_module(home), name)
        )
    from hfneg.errors import near_miss

    known = {each.lower(): each for each in __all__}
    meant = known.get(name.lower())
    hint = f" Did you mean {meant!r}?" if meant is not None else near_miss(name, __all__)
    raise AttributeError(f"module 'hfneg' has no attribute {name!r}.{hint}")


def __dir__() -> list[str]:
    return __all__
