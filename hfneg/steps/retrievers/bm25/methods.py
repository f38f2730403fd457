"""The variants of BM25 that bm25s knows (Kamphuis, de Vries, Boytsov, Lin: Which BM25 do you mean? ECIR 2020)."""

from __future__ import annotations

METHODS = ("robertson", "lucene", "atire", "bm25l", "bm25+")
SHIFTED = ("bm25l", "bm25+")
"""They weigh also the terms a document lacks; its postings hold the difference to that."""

SPACELESS = (
    "texts in Chinese, Japanese, Thai and other scripts without spaces are cut into pairs of characters whatever the "
    "language, or name a Hugging Face tokenizer with tokenizer="
)
