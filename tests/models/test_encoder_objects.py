"""Objects that encode: each method is asked with what its signature names, in the role of the texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hfneg
from hfneg.errors import SettingError
from hfneg.models.encoder import Encoder


class Asked:
    """Remembers what it was asked; vectors say nothing."""

    id = "asked-1"

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def answer(self, texts: list[str], *said: Any) -> Any:
        self.calls.append((texts, *said))
        return np.array([[1.0 + len(text), i] for i, text in enumerate(texts)], dtype=np.float32)


class Plain(Asked):
    def encode(self, texts: list[str]) -> Any:
        return self.answer(texts)


class WithRole(Asked):
    def encode(self, texts: list[str], *, role: str = "document") -> Any:
        return self.answer(texts, role)


class TwoMethods(Asked):
    def encode_query(self, texts: list[str]) -> Any:
        return self.answer(texts, "query")

    def encode_document(self, texts: list[str]) -> Any:
        return self.answer(texts, "document")


class WithPrompt(Asked):
    def encode_query(self, texts: list[str], prompt: str | None = None) -> Any:
        return self.answer(texts, "query", prompt)

    def encode_document(self, texts: list[str], prompt: str | None = None, batch_size: int = 8) -> Any:
        return self.answer(texts, "document", prompt, batch_size)


CALLS = {
    Plain: [(["Q: a"],), (["a"],)],
    WithRole: [(["Q: a"], "query"), (["a"], "document")],
    TwoMethods: [(["Q: a"], "query"), (["a"], "document")],
    WithPrompt: [(["a"], "query", "Q: "), (["a"], "document", None, 4)],
}


@pytest.mark.parametrize("kind", CALLS, ids=lambda kind: kind.__name__)
def test_what_an_object_is_asked(kind: type[Asked]) -> None:
    """A prompt goes to the method that takes one and else before the texts; the role to an `encode` that takes one."""
    model = kind()
    encoder = Encoder(model, query_prompt="Q: ", batch_size=4)
    encoder.encode(["a"], "query")
    encoder.encode(["a"], "document")
    assert model.calls == CALLS[kind]


@pytest.mark.parametrize("kind", CALLS, ids=lambda kind: kind.__name__)
def test_each_kind_searches(kind: type[Asked]) -> None:
    """As the model of `Dense`, over a corpus."""
    index = hfneg.Dense(kind()).open(hfneg.Corpus.from_texts(["a", "bb", "ccc"]))
    assert index.search(["d"], 1)[1].shape == (1, 1)


def test_a_role_makes_other_vectors() -> None:
    """Vectors stored before an `encode` was told its role are not taken for those of now."""
    assert Encoder(Plain()).digest != Encoder(WithRole()).digest


@pytest.mark.parametrize("setting", ["query_prompt", "document_prompt"])
def test_a_prompt_is_a_text(setting: str) -> None:
    """A function is refused when the step is built, with where it belongs."""
    with pytest.raises(SettingError, match=rf"{setting}=.*expected a text .*encode_query"):
        hfneg.Dense(Plain(), **{setting: lambda text: f"Q: {text}"})


def test_one_method_alone_is_no_encoder() -> None:
    """`encode_query` without `encode_document` and without `encode` is refused."""

    class Half:
        id = "half"

        def encode_query(self, texts: list[str]) -> Any:
            return texts

    with pytest.raises(SettingError, match="encode"):
        hfneg.Dense(Half())
