"""The anchors and the corpus of a mined folder, from the store, or built again from the folder's own rows."""

from __future__ import annotations

import logging
from typing import Any

from hfneg.data.anchors import Anchors
from hfneg.data.corpora import as_corpus
from hfneg.data.corpus import Corpus
from hfneg.errors import DamagedError, InputError, StoreError
from hfneg.runs.folder import mined as mined_folder
from hfneg.runs.folder.ledger_files import MinedLedger

log = logging.getLogger(__name__)


def reopen_anchors(ledger: MinedLedger, corpus: Any = None) -> Anchors:
    """What the folder was mined for, with the digest that its summary names.

    Args:
        corpus: what was given to `mine`, needed only where the store no longer has it. The pairs are in the folder.

    Raises InputError where `corpus` is another one, or none was given and it is needed.
    """
    names, wanted = ledger.summary["columns"], ledger.summary["identity"]["anchors"]
    try:
        return Anchors.reopen(wanted, **names)
    except StoreError as error:
        why = error
        if isinstance(error, DamagedError):
            log.warning("%s", error)
        documents = as_corpus(corpus)
        if documents is None:
            documents = _stored_corpus(ledger)
        if documents is None and ledger.summary.get("positives_are") != "text":
            raise _gone(ledger, error) from error
    for several in (False, True) if len(ledger.summary["rows"]) == 1 else (True,):
        anchors = Anchors(
            mined_folder.open_rows(ledger.folder, several),
            documents,
            **names,
            positives_are=ledger.summary.get("positives_are", "auto"),
            label=False,
            **{"missing": "add", **ledger.summary.get("reading", {})},
        )
        if anchors.digest == wanted:
            return anchors
    if documents is None:
        raise _gone(ledger, why)
    raise InputError(
        f"{documents!r} is not the corpus that {ledger.folder} was mined from (the anchors over it are "
        f"{anchors.digest[:12]}, those mined for {wanted[:12]}); give the one that hfneg.mine was given, with the same "
        "documents in the same order"
    )


def _stored_corpus(ledger: MinedLedger) -> Corpus | None:
    """By the digest; only where no positive was added to it is it the one that was given."""
    if ledger.summary["added_positives"]:
        return None
    corpus = Corpus(ledger.summary["corpus"])
    try:
        _ = len(corpus)
    except StoreError:
        return None
    return corpus


def _gone(ledger: MinedLedger, error: StoreError) -> InputError:
    damaged = isinstance(error, DamagedError)
    why = str(error).partition("). ")[0] + "), and" if damaged else "HFNEG_STORE names another one, or"
    return InputError(
        f"{why} the store no longer has the corpus of {ledger.folder} (digest {ledger.summary['corpus'][:12]}); give "
        "it again: corpus=... (--corpus), what hfneg.mine was given"
    )
