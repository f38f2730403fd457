"""The data that a published round was mined from: as given, else from the Hub at the revisions that its card names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hfneg.data import corpora, files, loading
from hfneg.data.corpus import Corpus
from hfneg.data.loading import Pairs
from hfneg.errors import InputError
from hfneg.hub.reading import Provenance


def name_of(card: Provenance) -> str:
    return f"round {card.round} of {card.repo}"


def data_of(card: Provenance, pairs: Any, corpus: Any) -> Pairs:
    """Pairs and corpus: as given, else from the Hub at their revisions."""
    named: list[Mapping[str, str]] = card.facts.get("datasets", [])
    roles = [source["role"] for source in named]
    sources = {source["role"]: source for source in named if roles.count(source["role"]) == 1}
    names = card.facts["columns"]
    given = {"pairs": pairs, "corpus": corpus}
    missing = [role for role in card.facts.get("not_on_hub", []) if given[role] is None]
    if missing:
        raise InputError(
            f"{name_of(card)} was mined from {' and '.join(missing)} that did not come from the Hub at a known commit: "
            f"give them again, {' and '.join(f'{role}= (--{role})' for role in missing)}"
        )
    if pairs is None:
        loaded = _from_hub(card, sources["pairs"], names)
    elif isinstance(pairs, str | Path):
        loaded = loading.load_pairs(str(pairs))
    else:
        loaded = Pairs(pairs, None, names["anchor"], names["positive"])
    documents = loaded.corpus
    if corpus is not None:
        documents = corpora.load_corpus(str(corpus)) if isinstance(corpus, str | Path) else corpus
    elif documents is None and "corpus" in sources:
        documents = _corpus_from_hub(card, sources["corpus"])
    return replace(loaded, corpus=documents, anchor=names["anchor"], positive=names["positive"])


def _from_hub(card: Provenance, source: Mapping[str, Any], names: Mapping[str, str]) -> Pairs:
    plain: dict[str, Any] = {} if "layout" in source else {"anchor": names["anchor"], "positive": names["positive"]}
    plain |= source.get("read_as", {})
    try:
        return loading.load_pairs(_place(source), source.get("split"), **plain)
    except InputError as error:
        raise _gone(card, "pairs", source, error) from error


def _corpus_from_hub(card: Provenance, source: Mapping[str, Any]) -> Any:
    try:
        rows = files.only_split(files.load_any(_place(source), source.get("split")))
        text = source.get("text", "text")
        return Corpus.from_dataset(rows, text=text, id=source.get("id_column"), title=source.get("title"))
    except InputError as error:
        raise _gone(card, "corpus", source, error) from error


def _gone(card: Provenance, role: str, source: Mapping[str, str], error: Exception) -> InputError:
    return InputError(
        f"the {role} of {name_of(card)} came from {source['id']} at revision {source['revision']}, which "
        f"cannot be loaded ({error}); where it has moved, or you have a copy, give it: {role}= (--{role})"
    )


def _place(source: Mapping[str, Any]) -> str:
    return f"{source['id']}@{source['revision']}" + (f":{source['config']}" if "config" in source else "")
