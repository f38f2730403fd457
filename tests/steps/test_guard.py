"""The guard: no leak is ever selected; near-duplicates and texts inside others are exactly those of the definition."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from properties import examples
from scripted import SearchOnly, decided

from hfneg.base.hashing import normal_form
from hfneg.data.anchors import Anchors
from hfneg.data.corpus import Corpus
from hfneg.errors import SettingError
from hfneg.pipeline.retrieve import Retrieve
from hfneg.pipeline.select import Policy
from hfneg.steps.block import verdicts
from hfneg.steps.block.pool import Pool
from hfneg.steps.guard import Guard
from hfneg.steps.samplers import TakeRandom, TakeTop

few = examples(40)

# Each anchor's candidates are all documents, so whatever the guard lets through is selected.


def made(documents: list[str], pairs: dict[str, list[str]]) -> tuple[Anchors, Pool]:
    """A corpus of the documents' distinct texts, and a pool in which every document is a candidate of every anchor."""
    corpus = Corpus.from_texts(dict.fromkeys(documents))
    rows = [{"q": anchor, "a": positives} for anchor, positives in pairs.items()]
    anchors = Anchors(rows, corpus, anchor="q", positive="a", positives_are="text", missing="add")
    n = len(anchors.corpus)
    everything = SearchOnly({text: [(row, float(n - row)) for row in range(n)] for text in pairs})
    candidates = Retrieve(anchors, everything, k=n).run(np.arange(len(anchors)))
    return anchors, Pool(anchors, candidates)


def shingles(text: str) -> set[bytes]:
    data = normal_form(text).encode().ljust(8, b"\0")
    return {data[i : i + 8] for i in range(len(data) - 7)}


def alike(one: str, other: str, share: float) -> bool:
    """The definition, as it stands in the docstring: min/max of the lengths, Jaccard similarity of the shingles."""
    lengths = sorted(len(text.encode()) for text in (one, other))
    if lengths[0] < share * lengths[1] and (not lengths[1] or lengths[0] / lengths[1] < share):
        return False
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b) >= share


def inside(one: str, other: str, share: float) -> bool:
    """The definition: lengths that differ by more than a tenth, at least 32 shingles each, and of the smaller set this
    share in the larger one."""
    lengths = sorted(len(text.encode()) for text in (one, other))
    a, b = shingles(one), shingles(other)
    smaller = min(len(a), len(b))
    return lengths[0] / max(lengths[1], 1) < 0.9 and smaller >= 32 and len(a & b) / smaller >= share


def oracle(
    anchor: str, positives: list[str], documents: list[str], share: float | None, contained: float | None
) -> list[int]:
    """The verdict on each document, in rank order, by loops over texts."""
    codes, seen = [], set()
    for text in documents:
        normal = normal_form(text)
        near = share is not None and any(alike(text, positive, share) for positive in positives)
        within = contained is not None and any(inside(text, positive, contained) for positive in positives)
        if text in positives:
            code = verdicts.KNOWN_POSITIVE
        elif not normal:
            code = verdicts.EMPTY
        elif normal == normal_form(anchor) or (share is not None and alike(text, anchor, share)):
            code = verdicts.OWN_TEXT
        elif normal in {normal_form(positive) for positive in positives} or near:
            code = verdicts.NEAR_POSITIVE
        elif within:
            code = verdicts.CONTAINED
        elif normal in seen:
            code = verdicts.REPEAT
        else:
            code = verdicts.SPARE
        codes.append(code)
        seen.add(normal)
    return codes


def check_all(
    documents: list[str], pairs: dict[str, list[str]], share: float | None, contained: float | None = None
) -> list[int]:
    anchors, pool = made(documents, pairs)
    texts = [text for text in anchors.corpus.texts(range(len(anchors.corpus))).to_pylist() if normal_form(text)]
    got = Guard(near_duplicate=share, contained=contained).verdicts(pool).tolist()
    expected = [
        code for anchor, positives in pairs.items() for code in oracle(anchor, positives, texts, share, contained)
    ]
    assert got == expected
    return got


words = st.sampled_from(
    ["the", "fault", "slips", "along", "a", "plane", "when", "stress", "exceeds", "its", "Straße", "東京", "Ж"]
)
sentences = st.lists(words, min_size=1, max_size=25).map(" ".join)
kinds = st.sampled_from(
    ["delete", "insert", "replace", "swap", "repeat", "upper", "space", "none", "cut", "half", "around"]
)


@st.composite
def edited(draw: Any, text: str) -> str:
    """A text after a few small edits: from equal to clearly different, many near the threshold."""
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(kinds)
        at = draw(st.integers(0, max(len(text) - 1, 0)))
        length = draw(st.integers(1, 6))
        if kind == "delete":
            text = text[:at] + text[at + length :]
        elif kind == "insert":
            text = text[:at] + "x" * length + text[at:]
        elif kind == "replace":
            text = text[:at] + "y" * length + text[at + length :]
        elif kind == "swap":
            text = text[at:] + text[:at]
        elif kind == "repeat":
            text = f"{text} {text}"
        elif kind == "upper":
            text = text.upper()
        elif kind == "space":
            text = text.replace(" ", "   ", length)
        elif kind == "cut":
            text = text[length:]
        elif kind == "half":
            text = text[len(text) // 2 :] if at % 2 else text[: len(text) * 2 // 3]
        elif kind == "around":
            text = f"{draw(sentences)} {text} {draw(sentences)}"
    return text


@st.composite
def worlds(draw: Any) -> tuple[list[str], dict[str, list[str]]]:
    """Documents that are edits of a few texts, positives among them, anchors that are edits too."""
    bases = draw(st.lists(sentences, min_size=1, max_size=3))
    documents = [draw(edited(draw(st.sampled_from(bases)))) for _ in range(draw(st.integers(2, 9)))]
    documents = list(dict.fromkeys([*documents, "a document that is not empty"]))
    some = st.sampled_from([text for text in documents if text.strip()])
    pairs: dict[str, list[str]] = {}
    for i in range(draw(st.integers(1, 2))):
        anchor = draw(edited(draw(st.sampled_from(bases))))
        if not anchor.strip() or normal_form(anchor) in map(normal_form, pairs):
            anchor = f"which of them is it, number {i}"
        pairs[anchor] = draw(st.lists(some, min_size=1, max_size=3, unique=True))
    return documents, pairs


shares = st.sampled_from([0.5, 0.55, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0])


@examples(160)
@given(worlds(), shares | st.none(), shares | st.none())
def test_verdicts_equal_brute_force(given_world: Any, share: float | None, contained: float | None) -> None:
    """For edited texts every verdict is that of loops over all pairs with the definition, at any threshold."""
    check_all(*given_world, share, contained)


@few
@given(worlds(), st.sampled_from([0.5, 0.9]))
def test_verdicts_do_not_depend_on_how_much_is_read_at_a_time(given_world: Any, share: float) -> None:
    """Texts are read in blocks of anchors; blocks of one anchor each give the same verdicts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hfneg.steps.guard.READ", 1)
        check_all(*given_world, share, share)


@few
@given(worlds())
def test_without_a_threshold_equality_still_counts(given_world: Any) -> None:
    """near_duplicate=None: near-duplicates pass; equal normal forms, own text and repeats do not."""
    got = check_all(*given_world, None)
    assert len(got)


@pytest.mark.parametrize("share", [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95])
def test_the_threshold_itself_counts(share: float) -> None:
    """Sets and lengths that agree to exactly the share are near-duplicates, also where share x size rounds upwards."""
    alphabet = [chr(ord("A") + i) if i < 26 else chr(0x3A9 + i) for i in range(60)]
    text = "".join(alphabet).lower()
    documents, pairs = [], {}
    for size in range(18, 48):
        whole = text[:size] if size <= 26 else text[:26] + "0123456789!#$%&()*+,-./:;<=>?@"[: size - 26]
        for common in range(8, size):
            windows, shared = size - 7, common - 7
            if shared / windows == share or common / size == share:
                documents += [f"{whole}", whole[:common]]
                pairs[f"which is number {size}?"] = [whole]
    assert pairs
    check_all(list(dict.fromkeys(documents)), pairs, share)


def test_repeated_text_differs_in_length() -> None:
    """A text twice over has the same shingles but for the seam, yet not its length: the lengths count too."""
    base = "abcdefgh" * 12
    got = check_all([base, base * 2, base + "abcdefgh"], {"which?": [base]}, 0.9)
    assert got == [verdicts.KNOWN_POSITIVE, verdicts.SPARE, verdicts.NEAR_POSITIVE]


def test_lengths_count_for_each_pair() -> None:
    """That its length fits another positive does not make a candidate near to the one whose shingles it shares."""
    base = "abcdefgh" * 12
    other = "".join(chr(0x21 + i % 60) for i in range(len(base) * 2))
    got = check_all([base, other, base * 2], {"which?": [base, other]}, 0.9)
    assert got == [verdicts.KNOWN_POSITIVE, verdicts.KNOWN_POSITIVE, verdicts.SPARE]


POSITIVE = "Die Straße folgt der Verwerfung, sagte ΐωάννης in ﬁne Worten"
PLANTED = [
    POSITIVE.upper(),
    POSITIVE.lower(),
    POSITIVE.casefold(),
    POSITIVE.replace(" ", "  "),
    f"\n{POSITIVE}\t",
    unicodedata.normalize("NFD", POSITIVE),
    unicodedata.normalize("NFKC", POSITIVE),
    POSITIVE.replace(" ", "\u00a0"),
    POSITIVE.replace("D", "\uff24"),
]


@few
@given(st.lists(sentences, min_size=3, max_size=8, unique_by=normal_form), st.integers(0, 5), st.booleans())
def test_no_leak_is_ever_selected(others: list[str], seed: int, near: bool) -> None:
    """Planted positives, their variants, the anchor's own text and repeats are in the pool and never selected."""
    anchor = "Wo folgt die Straße der Verwerfung?"
    documents = [POSITIVE, *PLANTED, anchor, anchor.upper(), *others, *(text.upper() + "  " for text in others)]
    anchors, pool = made(documents, {anchor: [POSITIVE], f"sibling of {anchor}": [others[0]]})
    guard = Guard() if near else Guard(near_duplicate=None)
    for sampler in (TakeTop(100), TakeRandom(100, seed=seed)):
        chosen = decided(Policy(sampler=sampler, guard=guard), anchors, pool.block)
        for i, (own, positives) in enumerate(((anchor, [POSITIVE]), (f"sibling of {anchor}", [others[0]]))):
            texts = [normal_form(text) for text in anchors.corpus.texts(chosen.negatives[i]).to_pylist()]
            assert len(set(texts)) == len(texts)
            assert not {normal_form(text) for text in (own, *positives)} & set(texts)


def test_a_sibling_s_positive_is_a_positive() -> None:
    """What is positive for the same anchor in another row or split is never a negative of any of its rows."""
    corpus = Corpus.from_texts(["one", "two", "three", "four"])
    splits = {"train": [{"q": "Q", "a": "one"}], "test": [{"q": " q ", "a": "two"}]}
    anchors = Anchors(splits, corpus, anchor="q", positive="a")
    everything = SearchOnly({"Q": [(row, -float(row)) for row in range(4)]})
    chosen = decided(Policy(), anchors, Retrieve(anchors, everything, k=4).run(np.array([0])))
    assert chosen.negatives.flat.tolist() == [2, 3]


def test_a_near_duplicate_is_selected_only_without_a_threshold() -> None:
    """One changed letter in a long positive: refused by default, let through with near_duplicate=None."""
    positive = "the fault slips along a plane when the stress on it exceeds its strength " * 4
    nearly = positive.replace("slips", "slipt", 1)

    def chosen(guard: Guard) -> Any:
        anchors, pool = made([positive, nearly, "waves travel"], {"What slips?": [positive]})
        return decided(Policy(guard=guard), anchors, pool.block)

    assert chosen(Guard()).negatives.flat.tolist() == [2]
    assert chosen(Guard(near_duplicate=None)).negatives.flat.tolist() == [1, 2]


def test_the_anchor_s_own_text_nearly() -> None:
    """A document that is the anchor's text but for a letter is own text, with its own verdict."""
    anchor = "which faults slip along a plane when the stress on them exceeds their strength and why do they"
    got = check_all([anchor + "?", "an answer", "another"], {anchor: ["an answer"]}, 0.9)
    assert got == [verdicts.OWN_TEXT, verdicts.KNOWN_POSITIVE, verdicts.SPARE]


def test_empty_and_short_documents() -> None:
    """Documents below a shingle's width are compared as one shingle each; the empty one is nobody's candidate."""
    documents = ["", "a", "A", " a", "b", "ab", "1234567", "12345678", "123456789"]
    check_all(documents, {"a b": ["a"], "c": ["1234567"]}, 0.5)


@pytest.mark.parametrize("setting", ["near_duplicate", "contained"])
@pytest.mark.parametrize("share", [0.49, 1.01, -1.0, float("nan"), True, "0.9"])
def test_thresholds_are_checked(share: Any, setting: str) -> None:
    """A share below a half (where prefixes would be whole texts) or above one is refused."""
    with pytest.raises(SettingError, match=setting):
        Guard(**{setting: share})


# Texts inside others. Windows over one long text: the positive is one of them.

FILLER = "In 1906 the ground moved by six metres near Olema. Surveyors walked along the fence lines and drew it. "
LEAK = "A fault slips when the stress along it exceeds the friction that holds its two sides together."
AROUND = f"{FILLER}{LEAK} {FILLER[::-1]}"


@pytest.mark.parametrize("positive", [LEAK, AROUND])
def test_no_window_around_a_positive_or_inside_it_is_selected(positive: str) -> None:
    """By default neither the page that holds a positive nor a sentence of it becomes a negative; contained=None lets
    both through, each in its own verdict's name before."""
    other = AROUND if positive == LEAK else LEAK
    documents = [positive, other, f"{other.upper()}  ", FILLER, "Waves travel."]
    anchors, pool = made(documents, {"When does a fault slip?": [positive]})
    expected = [verdicts.KNOWN_POSITIVE, verdicts.CONTAINED, verdicts.CONTAINED, verdicts.SPARE, verdicts.SPARE]
    if positive == AROUND:
        expected[3] = verdicts.CONTAINED  # the filler is part of it, too
    assert Guard().verdicts(pool).tolist() == expected
    chosen = decided(Policy(), anchors, pool.block).negatives.flat.tolist()
    assert chosen == [i for i, code in enumerate(expected) if code == verdicts.SPARE]
    assert 1 in decided(Policy(guard=Guard(contained=None)), anchors, pool.block).negatives.flat.tolist()


@pytest.mark.parametrize("name", ["Paris", "the Treaty of Versailles", "Massachusetts Institute of Technology"])
def test_a_positive_of_a_few_words_is_looked_for_nowhere(name: str) -> None:
    """A name stands in many documents that are not relevant: they stay, and so does a document of a name."""
    pages = [f"{FILLER} {name} is named on page {i}. {LEAK}" for i in range(3)]
    got = check_all([name, *pages, "friction"], {"Which?": [name], "When?": [LEAK + FILLER]}, 0.9, 0.95)
    assert got[1:5] == [verdicts.SPARE] * 4
    assert got[6:] == [verdicts.SPARE, *[verdicts.CONTAINED] * 3, verdicts.SPARE, verdicts.KNOWN_POSITIVE]


def test_variants_of_one_length_are_a_matter_of_near_duplicate() -> None:
    """A text that differs in a word lies in the other nearly; it is taken for a near-duplicate or not at all."""
    variant = AROUND.replace("Olema", "Bolinas")
    assert check_all([AROUND, variant], {"which?": [AROUND]}, 0.9, 0.9)[1] == verdicts.NEAR_POSITIVE
    assert check_all([AROUND, variant], {"which?": [AROUND]}, None, 0.9)[1] == verdicts.SPARE


def test_a_page_that_quotes_the_question_is_no_leak() -> None:
    """Containment is asked of positives alone: the anchor's text in a document says nothing about its answer."""
    anchor = "When does a fault slip, and what has friction to do with the stress along it?"
    got = check_all([f"{FILLER}{anchor} {FILLER}", "an answer"], {anchor: ["an answer"]}, 0.9, 0.95)
    assert got == [verdicts.SPARE, verdicts.KNOWN_POSITIVE]


@pytest.mark.parametrize("share", [0.5, 0.6, 0.75, 0.8, 0.9])
def test_the_share_of_containment_itself_counts(share: float) -> None:
    """Of 40 shingles exactly the share in the other text is enough, one less is not."""
    whole = "abcdefghijklmnopqrstuvwxyz0123456789!#$%&()*+,-"  # 47 letters, 40 shingles
    cut = round(share * 40)
    behind = ["".join(chr(0x4E00 + 100 * i + j) for j in range(60)) for i in range(2)]
    longer = [whole[: kept + 7] + more for kept, more in zip((cut, cut - 1), behind, strict=True)]
    got = check_all([whole, *longer], {"which?": [whole]}, None, share)
    assert got == [verdicts.KNOWN_POSITIVE, verdicts.CONTAINED, verdicts.SPARE]
