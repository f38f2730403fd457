"""What the trainers of sentence-transformers need besides sentence-transformers."""

from __future__ import annotations

from hfneg.errors import MissingExtraError


def require_trainer(asker: str) -> None:
    """Raise MissingExtraError where no trainer can run: without accelerate, or with one too old for transformers."""
    from transformers.utils import is_accelerate_available

    if not is_accelerate_available():
        raise MissingExtraError(
            f"{asker} trains with the trainer of sentence-transformers, which needs accelerate, and that is not "
            "installed or too old: pip install 'hfneg[train]'"
        )
