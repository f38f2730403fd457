"""What BM25 takes for terms: words, words of one letter, and pairs of characters where no spaces are written."""

from __future__ import annotations

import logging
import re
import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from hypothesis import given, strategies as st
from properties import examples

import hfneg
from hfneg.steps.retrievers.bm25.tokens import as_arrow, open_tokenizer, stop_words

SPACELESS = (
    "CJK UNIFIED",
    "IDEOGRAPHIC",
    "HIRAGANA",
    "KATAKANA",
    "HALFWIDTH KATAKANA",
    "HANGUL",
    "THAI",
    "LAO",
    "KHMER",
    "MYANMAR",
)
ALPHABET = [
    *"ab Z1_'\u2019.-é5",
    "e\u0301",
    *"東京都々ひらカーｶﾞ한국ᄒ",
    "กิ",
    "ท",
    "ี่",
    "ພາ",
    "ខ្ម",
    "မြ",
    "\u3099",
    "Ω",
    "д",
]


def terms(text: str, language: str | None = None) -> list[str]:
    unique, codes, offsets = open_tokenizer(language, None)(as_arrow(["x", text]))
    return [unique[code] for code in codes[offsets[1] :]]


def is_spaceless(character: str) -> bool:
    return unicodedata.name(character, "").startswith(SPACELESS)


def is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


def in_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN" or character == "_"


def plain_words(text: str) -> list[str]:
    """Character by character: the words of a text, without a single letter behind an apostrophe."""
    words, word, i = [], "", 0
    while i < len(text):
        if in_word(text[i]):
            word += text[i]
            i += 1
            continue
        letter, behind = text[i + 1 : i + 2], text[i + 2 : i + 3]
        clitic = word and text[i] in "'\u2019" and letter[:1].isalpha() and not (behind and in_word(behind))
        words.append(word)
        word, i = "", i + (2 if clitic else 1)
    return [word for word in [*words, word] if word]


def plain_terms(text: str) -> list[str]:
    """The oracle: each word cut where its script changes, and runs of spaceless scripts into pairs of characters."""
    found: list[str] = []
    for word in plain_words(text.lower()):
        parts: list[tuple[bool, str]] = []
        for character in word:
            inside = bool(parts) and parts[-1][0]
            spaceless = is_spaceless(character) or (inside and is_mark(character))
            if parts and parts[-1][0] == spaceless:
                parts[-1] = (spaceless, parts[-1][1] + character)
            else:
                parts.append((spaceless, character))
        for spaceless, part in parts:
            found += pairs(part) if spaceless else [part]
    return [term for term in found if len(term) > 1 or term.isalnum()]


def pairs(run: str) -> list[str]:
    letters = re.findall(r"\S", unicodedata.normalize("NFKC", run))
    characters: list[str] = []
    for letter in letters:
        if is_mark(letter) and characters:
            characters[-1] += letter
        else:
            characters.append(letter)
    return [characters[i] + characters[i + 1] for i in range(len(characters) - 1)] or characters


@examples(300)
@given(text=st.lists(st.sampled_from(ALPHABET), max_size=14).map("".join))
def test_terms_equal_a_plain_reading(text: str) -> None:
    """Whatever scripts, marks, digits and apostrophes stand beside one another: as read character by character."""
    assert terms(text) == plain_terms(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("東京都庁", ["東京", "京都", "都庁"]),
        ("猫", ["猫"]),
        ("猫、犬", ["猫", "犬"]),
        ("コーヒー", ["コー", "ーヒ", "ヒー"]),
        ("Pythonで書く", ["python", "で書", "書く"]),
        ("C言語2級", ["c", "言語", "2", "級"]),
        ("ｶﾞｯﾂ", ["ガッ", "ッツ"]),
        ("한국어는 좋다", ["한국", "국어", "어는", "좋다"]),
        (unicodedata.normalize("NFD", "한국어"), ["한국", "국어"]),
        ("ที่บ้าน", ["ที่บ้", "บ้า", "าน"]),
        ("ພາສາ", ["ພາ", "າສ", "ສາ"]),
        ("ភាសា", ["ភាសា"]),
        ("ဘာသာ", ["ဘာသာ"]),
    ],
)
def test_scripts_without_spaces_become_pairs(text: str, expected: list[str]) -> None:
    """Marks belong to their character, one alone is a term, half width is full width, words beside stay words."""
    assert terms(text) == expected


def test_words_of_one_letter_count() -> None:
    """Letters and digits alone are terms; not what an apostrophe cuts off, signs, or stop words."""
    assert terms("vitamin D, type 1: C# or 'B' _ -", "english") == ["vitamin", "d", "type", "1", "c", "b"]
    assert terms("It's Anna's, don\u2019t! I'd say rock 'n' roll") == [
        "it",
        "anna",
        "don",
        "i",
        "say",
        "rock",
        "n",
        "roll",
    ]
    assert "a" in stop_words("english")
    assert terms("hepatitis A", "english") == ["hepat"]


def test_pairs_in_one_batch_do_not_touch_other_texts() -> None:
    """A text's terms are the same alone and among texts of other scripts."""
    texts = ["plain words here", "東京 tower", "", "more plain words", "ฉันกินข้าว 2 จาน"]
    unique, codes, offsets = open_tokenizer("english", None)(as_arrow(texts))
    together = [[unique[code] for code in codes[a:b]] for a, b in pairwise(offsets)]
    assert together == [terms(text, "english") for text in texts]


COLLECTIONS = {
    "chinese": ("量子力学是什么{}", "量子力学研究微观粒子的运动{}", "古典音乐{}在维也纳很流行"),
    "japanese": ("地震はなぜ起きる{}", "地震はプレートの動きで起きる{}", "寿司{}はおいしい"),
    "thai": ("แผ่นดินไหวเกิดจากอะไร{}", "แผ่นดินไหวเกิดจากการเคลื่อนตัว{}", "ข้าวผัด{}อร่อยมาก"),
    "korean": ("지진은왜일어날까{}", "지진은판의움직임으로일어난다{}", "김치{}는맛있다"),
}


def collection(language: str) -> tuple[Dataset, hfneg.Corpus]:
    query, answer, other = COLLECTIONS[language]
    rows = range(12)
    pairs = Dataset.from_dict({"q": [query.format(i + 10) for i in rows], "a": [answer.format(i + 30) for i in rows]})
    return pairs, hfneg.Corpus.from_texts([*pairs["a"], *(other.format(i + 50) for i in rows)])


@pytest.mark.parametrize("language", COLLECTIONS)
def test_negatives_are_found_without_spaces(language: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """BM25() as it is finds hard negatives for questions in these languages, among them none of another topic."""
    pairs, corpus = collection(language)
    recipe = hfneg.Recipe(guard=hfneg.Guard(near_duplicate=None), sampler=hfneg.TakeTop(3))
    mined = hfneg.mine(pairs, corpus, recipe, anchor="q", positive="a", out=tmp_path / "out")
    assert all(len(row) == 3 for row in mined["hard_negatives"])
    assert {text for row in mined["hard_negatives"] for text in row} <= set(pairs["a"])
    assert "has found no document" not in caplog.text


def foreign(count: int = 10) -> tuple[Dataset, hfneg.Anchors]:
    """Most questions in a language that no document is in."""
    queries = [f"was verschiebt sich im boden{'x' * i}" for i in range(count - 2)]
    queries += ["what slips in a fault", "how does rock break"]
    pairs = Dataset.from_dict({"q": queries, "a": [f"a fault slips where rock breaks {i}th" for i in range(count)]})
    return pairs, hfneg.Anchors(pairs, None, anchor="q", positive="a")


SAID = "bm25 has found no document for 8 of 10 anchors: they share no term with any document"


def test_mine_says_that_most_share_no_term(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In one warning with the terms of both sides, and as a count per source in summary.json; reselect keeps it."""
    pairs, anchors = foreign()
    recipe = hfneg.Recipe(retrievers=[hfneg.BM25(), hfneg.RandomDocuments()], k=7)
    hfneg.mine(pairs, anchors.corpus, recipe, anchor="q", positive="a", out=tmp_path / "out")
    assert caplog.text.count(SAID) == 1
    assert "in terms ['verschiebt', 'sich', 'im', 'boden']; the first document has ['fault', 'slip'," in caplog.text
    assert "search with Dense" in caplog.text
    found = hfneg.open_summary(tmp_path / "out")["anchors_without_candidates"]
    assert found == {"bm25": 8, "random": 0}
    hfneg.reselect(tmp_path / "out", sampler=hfneg.TakeTop(1), out=tmp_path / "again")
    assert hfneg.open_summary(tmp_path / "again")["anchors_without_candidates"] == found


@pytest.mark.parametrize("step", ["retrieve", "recipe"])
def test_map_says_that_most_share_no_term(step: str, caplog: pytest.LogCaptureFixture) -> None:
    """Once, in `Retrieve` and in a whole recipe; nothing is said where the lesser part finds nothing."""
    pairs, anchors = foreign()
    transforms: dict[str, Any] = {
        "retrieve": hfneg.Retrieve(anchors, hfneg.BM25(), k=5),
        "recipe": hfneg.Recipe(k=7).transform(anchors),
    }
    pairs.map(transforms[step], batched=True, batch_size=10, load_from_cache_file=False)
    assert caplog.text.count(SAID) == 1
    caplog.clear()
    pairs.select([0, 8, 9]).map(transforms[step], batched=True, load_from_cache_file=False)
    assert "has found no document" not in caplog.text


def test_questions_of_stop_words_alone_are_named(caplog: pytest.LogCaptureFixture) -> None:
    """Where anchors have no term at all, that is the reason."""
    pairs = Dataset.from_dict(
        {"q": ["to be or not to be", "it is", "!?"], "a": ["one text", "two texts", "more of it"]}
    )
    anchors = hfneg.Anchors(pairs, None, anchor="q", positive="a")
    with caplog.at_level(logging.WARNING):
        pairs.map(hfneg.Retrieve(anchors, hfneg.BM25(), k=2), batched=True, load_from_cache_file=False)
    assert "3 of 3 have no term at all" in caplog.text
