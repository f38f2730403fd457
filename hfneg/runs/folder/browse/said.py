"""What a judge said of pairs, where the store still has it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from hfneg.base.hashing import hash_texts
from hfneg.base.store import answers
from hfneg.base.store.scores import pair_keys
from hfneg.runs.folder.ledger_files import MinedLedger

LONGEST = 600
"""Characters of an answer that are shown: its end, where the grade is."""


class Sayings:
    """The words of the teacher of a mined folder; of an ensemble those of its first member that has any."""

    def __init__(self, ledger: MinedLedger) -> None:
        teacher = ledger.summary.get("teacher")
        self._digests = [] if teacher is None else [teacher["digest"], *teacher.get("members", [])]

    @cached_property
    def _kept(self) -> list[Mapping[str, str]]:
        return [found for digest in dict.fromkeys(self._digests) if (found := answers.get(digest))]

    def of(self, anchor: str, document: str | None) -> str | None:
        """What was said of this pair; None where nothing was, or nobody has it any more."""
        if document is None or not self._kept:
            return None
        (key,) = pair_keys(hash_texts([anchor]), hash_texts([document]))
        name = answers.key_of(key)
        said = next((found[name] for found in self._kept if name in found), None)
        if said is None:
            return None
        said = said.strip()
        return said if len(said) <= LONGEST else f"\u2026{said[-LONGEST:]}"
