"""What columns and configs are usually called: the only tables of names.

Names are compared without case and punctuation: ``query_id``, ``query-id``, ``queryId`` and ``QueryID`` are one. Each
table is in order of preference; what stands first in it wins, whatever the order of the columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

NUMBERED_NEGATIVE = re.compile(r"(?:hard[_-]?)?neg(?:ative)?s?[_-]?(\d+)$", re.IGNORECASE)


def _names(words: str) -> tuple[str, ...]:
    return tuple(words.split())


# Texts.

ANCHORS = _names(
    "anchor query question sentence1 query_text question_text anchor_text search_query user_query prompt premise "
    "sentence_a text1 text_a question1"
)
POSITIVES = _names(
    "positive answer pos positives passage document sentence2 context positive_text pos_text positive_passage "
    "positive_document relevant_text document_text passage_text answers doc doc_text response hypothesis sentence_b "
    "text2 text_b question2 text"
)
NEGATIVES = _names("negative hard_negative negatives neg negative_text neg_text hard_neg negs negative_document")
DOCUMENT_LISTS = _names("documents docs passages texts candidates")
TEXTS = _names(
    "text document passage contents body content document_text doc_text passage_text chunk chunk_text paragraph doc"
)
TITLES = _names("title")
QUERY_TEXTS = _names("text query question query_text question_text title")
JUDGED_DOCUMENTS = _names("document text passage negative doc document_text passage_text")

# Ids.

DOCUMENT_IDS = _names(
    "_id id docid doc_id document_id passage_id pid corpus-id docno uuid uid guid did text_id chunk_id article_id doc "
    "key identifier"
)
LONG_KNOWN_IDS = DOCUMENT_IDS[:7]
"""Taken as documents' ids whatever they hold; the others only where each document has one of its own."""
QUERY_IDS = _names("query-id query_id qid anchor_id question_id topic_id topic query anchor question")
ANCHOR_IDS = _names("query_id anchor_id question_id qid query-id topic_id")
JUDGED_IDS = _names(
    "corpus-id corpus_id doc_id docid document_id passage_id pid docno negative_id did text_id uuid chunk_id"
)
POSITIVE_IDS = _names("positive_id positive_ids positive pos_id pos_ids pid_pos positives")
OWN_POSITIVE_IDS = _names("positive_ids positive_id answer_id document_id")
NEGATIVE_IDS = _names("negative_ids negative_id neg_ids neg_id")

# Labels.

RELEVANCE = _names(
    "relevance relevant label labels judgment judgement rel grade score scores qrel is_relevant relevancy "
    "relevance_label relevance_score"
)
LABELS = _names(
    "label labels score scores relevance relevant is_relevant rel grade judgment judgement gold_label gold target "
    "is_duplicate duplicate is_match match similarity similarity_score relevance_score relevance_label "
    "entailment_judgment"
)
TRAINER_LABELS = LABELS[:4]
"""What the trainers of sentence-transformers take as labels."""
CLASSES = _names("label labels class category intent target label_text topic")
ITERATIONS = _names("iteration iter q0 unused")

# Configs of a dataset on the Hub.

CORPUS_CONFIGS = _names("corpus passage passages documents docs collection")
QUERY_CONFIGS = _names("queries query topics")
ROW_CONFIGS = _names("qrels default")

_ID_WORDS = frozenset(_names("id ids idx uuid guid uid docid docids qid pid did docno"))
_WORDS = frozenset(
    _names(
        "anchor query question sentence positive negative pos neg answer passage document doc text title body content "
        "contents context id label score relevance relevant grade rel rank url source class category intent name topic "
        "iteration corpus premise hypothesis similarity response prompt paragraph abstract lang language split date "
        "author type index"
    )
)


def key(name: str) -> str:
    """What a name is compared by."""
    return re.sub(r"[\W_]+", "", name).casefold()


def one_of(names: Iterable[str], usual: Iterable[str]) -> str | None:
    """The name among `names` that comes first in `usual`; of several that differ in spelling only the exact one."""
    there = list(names)
    by_key: dict[str, str] = {}
    for name in there:
        by_key.setdefault(key(name), name)
    for wanted in usual:
        if wanted in there:
            return wanted
        if key(wanted) in by_key:
            return by_key[key(wanted)]
    return None


def words_of(name: str) -> list[str]:
    """``queryText`` -> query, text."""
    return [word.casefold() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+|\d+", name)]


def is_id(name: str) -> bool:
    """True for the names by which ids usually go: ``id``, ``query_id``, ``corpus-id``, ``docids``, ``uuid``."""
    words = words_of(name)
    return bool(words) and words[-1] in _ID_WORDS


def is_negative(name: str) -> bool:
    """True for the names by which given negatives usually go: ``negative``, ``negative_3``, ``neg``."""
    return bool(NUMBERED_NEGATIVE.match(name)) or one_of([name], NEGATIVES) is not None


def is_known(name: str) -> bool:
    """Whether this reads like the name of a column: one of its words usually stands in such names."""
    return key(name) in _KNOWN or any(word.removesuffix("s") in _WORDS or word in _WORDS for word in words_of(name))


_TABLES = (
    *(ANCHORS, POSITIVES, NEGATIVES, DOCUMENT_LISTS, TEXTS, TITLES, DOCUMENT_IDS, QUERY_IDS, JUDGED_IDS),
    *(POSITIVE_IDS, NEGATIVE_IDS, RELEVANCE, LABELS, CLASSES, ITERATIONS),
)
_KNOWN = frozenset(key(name) for table in _TABLES for name in table)
