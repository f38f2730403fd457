"""`JudgeTeacher`: a language model that reads anchor and document and says whether the one answers the other."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hfneg.base import store
from hfneg.base.hashing import hash_texts
from hfneg.base.http.server import COMMON_HINTS, Server, at_most, is_address, shown_address
from hfneg.base.settings import check, check_choice, is_number, is_whole
from hfneg.base.store import answers as kept_answers
from hfneg.base.store.scores import pair_keys
from hfneg.errors import BudgetError, EndpointError, TeacherError
from hfneg.steps import papers
from hfneg.steps.data_file import DataFile
from hfneg.steps.teachers.base import SHOWN, Received, Teacher
from hfneg.steps.teachers.judge.prompts import HIGHEST, PROMPTS, Answers, filled, logit, read, why_not
from hfneg.steps.teachers.judge.spending import Spending

FORMAT = 1
ENGINE = "chat completions"
KIND = "a server of chat completions as OpenAI's (vLLM, text-generation-inference, llama.cpp, Ollama, ...)"
HINTS = {
    **COMMON_HINTS,
    400: "see that the model takes what is asked: temperature=None and extra={...} change the request",
    404: "give the url up to /v1, and a model that is served there",
    413: "cut the texts: longest=... characters",
    422: "see that the model takes what is asked: temperature=None and extra={...} change the request",
}
PATH = "/chat/completions"
KEEP_EVERY = 5.0  # seconds after which answers that came are written down


@dataclass(frozen=True, repr=False)
class JudgeTeacher(Teacher):
    """Scores by asking a language model about each pair, over a server of chat completions.

    >>> JudgeTeacher("http://127.0.0.1:8000", model="Qwen/Qwen3-8B")
    JudgeTeacher(url='http://127.0.0.1:8000', model='Qwen/Qwen3-8B')

    Any server that speaks OpenAI's protocol will do. It is asked lazily, about each negative that is about to be taken,
    until enough have passed: ``filters=[Band(high=1, by="teacher")]`` keeps what was graded 0 or 1. With a share r of
    relevant candidates that is about n / (1 - r) questions an anchor. What it said is kept beside the scores; `hfneg
    show` and the report show it.

    Args:
        url: of the server, with or without ``/v1``.
        model: as the server calls it.
        answers: "graded", 0 to 3 (UMBRELA, Upadhyay et al. 2024); "yes_no", 1 or 0.
        logprobs: of "yes_no": scores are log P(yes) - log P(no), from the log-probabilities of the answer's token. A
            server that gives none is refused.
        prompt: a text file with ``{anchor}`` and ``{document}`` in it, which ends the answer as the built-in prompts
            do: "Grade: 2"; yes or no. Its content counts, not its path. None: the built-in prompt.
        id: names what the server computes where `model` does not say it well enough; change it with the weights.
        positives: also ask about the known positives, which filters that compare with them need (`Margin`,
            `BelowPositives`); one question more for each.
        unreadable: the score of an answer in which none is found (a refusal, say). None: that ends the run.
        longest: characters of a text that are sent.
        temperature, max_tokens: as the server knows them; a temperature of None is not sent.
        extra: what else the request says, such as ``{"chat_template_kwargs": {"enable_thinking": False}}``.
        max_pairs, budget_tokens: what may be spent by this process; then `BudgetError` ends the run, in which nothing
            is lost, and says what is missing. Tokens are those that the server counts.
        per_minute: requests at most.
        concurrency, timeout, retries: as of `EndpointTeacher`.
        scale: of answers without log-probabilities "from_zero" (the default) or "raw"; else "probability" or "logit".

    The environment variable HFNEG_ENDPOINT_TOKEN is sent as bearer token, to this url's origin and nowhere else.

    Raises SettingError. EndpointError, BudgetError, TeacherError: see `score`.
    """

    url: str
    model: str
    answers: Answers = "graded"
    logprobs: bool = False
    prompt: str | None = None
    id: str | None = None
    positives: bool = False
    unreadable: float | None = None
    longest: int | None = None
    temperature: float | None = 0.0
    max_tokens: int = 1024
    extra: dict[str, Any] = field(default_factory=dict)
    max_pairs: int | None = None
    budget_tokens: int | None = None
    per_minute: float | None = None
    concurrency: int = 8
    timeout: float = 120.0
    retries: int = 6
    scale: str | None = None

    cites = (papers.UMBRELA,)
    alone = remote = True

    def __post_init__(self) -> None:
        url = self.url.rstrip("/").removesuffix(PATH).removesuffix("/v1") if isinstance(self.url, str) else ""
        good = is_address(url)
        check(good, self, "url", shown_address(self.url), "like 'http://host:8000', without user, password or query")
        object.__setattr__(self, "url", url)
        check(isinstance(self.model, str) and bool(self.model), self, "model", self.model, "the model's name there")
        check_choice(self, "answers", self.answers, PROMPTS)
        self._check_scale(self.scale)
        for setting in ("logprobs", "positives"):
            check(isinstance(getattr(self, setting), bool), self, setting, getattr(self, setting), "True or False")
        check(not self.logprobs or self.answers == "yes_no", self, "logprobs", True, "False, or answers='yes_no'")
        check(isinstance(self.extra, dict), self, "extra", self.extra, "a dict of what the request says besides")
        for setting in ("id", "prompt"):
            given = getattr(self, setting)
            check(given is None or (isinstance(given, str) and bool(given)), self, setting, given, "a text or None")
        for setting, least in (("max_tokens", 1), ("concurrency", 1), ("retries", 0)):
            given = getattr(self, setting)
            check(is_whole(given, least), self, setting, given, f"a whole number from {least} up")
        for setting in ("longest", "max_pairs", "budget_tokens"):
            given = getattr(self, setting)
            check(given is None or is_whole(given, 1), self, setting, given, "None or a whole number from 1 up")
        for setting in ("timeout", "per_minute"):
            given = getattr(self, setting)
            right = (given is None and setting == "per_minute") or (is_number(given) and given > 0)
            check(right, self, setting, given, "a number above 0")
        heat = self.temperature is None or (is_number(self.temperature) and self.temperature >= 0)
        check(heat, self, "temperature", self.temperature, "None or a number, 0 or more")
        known = self.unreadable is None or (is_number(self.unreadable) and 0 <= self.unreadable <= self.highest)
        check(known, self, "unreadable", self.unreadable, f"None or a score, 0 to {self.highest:g}")
        if self.prompt is not None:
            check(os.path.isfile(self.prompt), self, "prompt", self.prompt, "the path of a text file that is there")
            lacks = why_not(self._template)
            check(lacks is None, self, "prompt", self.prompt, f"a file that has both places: {lacks}")

    # What it is.

    @property
    def scales(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("probability", "logit") if self.logprobs else ("from_zero", "raw")

    @property
    def resolved_scale(self) -> str:
        return self.scale or self.scales[0]

    @property
    def highest(self) -> float:
        """The largest scaled score."""
        return HIGHEST[self.answers]

    @property
    def asks_positives(self) -> bool:
        return self.positives

    @property
    def served(self) -> str:
        """The model, for a card."""
        return self.model

    @property
    def digest(self) -> str:
        """Of the model's name (or `id`), the prompt's text, and what else changes an answer; not of the url."""
        how = [self.answers, self.logprobs, self.unreadable, self.longest, self.temperature, self.max_tokens]
        return store.digest_of(FORMAT, ENGINE, self.id or self.model, self._template, how, self.extra)

    @property
    def _template(self) -> str:
        return PROMPTS[self.answers] if self.prompt is None else self._file.read_text()

    @cached_property
    def _file(self) -> DataFile:
        assert self.prompt is not None
        return DataFile(self.prompt)

    @cached_property
    def spending(self) -> Spending:
        """What this process has spent on it."""
        return Spending(self.max_pairs, self.budget_tokens, self.per_minute)

    # What it does.

    def _score(self, anchors: list[str], documents: list[str], done: Received) -> None:
        """Raises EndpointError for a server that is down, slow, refuses or answers nonsense; TeacherError where an
        answer says no score; BudgetError where the budget is spent. Answers that came before are handed on first.
        """
        server = Server(f"{self.url}/v1", float(self.timeout), self.retries, kind=KIND, hints=HINTS)
        template, left = self._template, 0
        notes = _Notes(self.digest, anchors, documents)

        def ask(position: int) -> tuple[int, float, str]:
            self.spending.wait(server.stop)
            answer = server.post(PATH, self._request(template, anchors[position], documents[position]))
            score, said = self._read(answer, server, anchors[position], documents[position])
            return position, score, said

        def take(answer: tuple[int, float, str]) -> None:
            position, score, said = answer
            notes.add(position, said)
            done([position], [score])

        def affordable() -> Iterator[int]:
            nonlocal left
            for position in range(len(anchors)):
                if not self.spending.take():
                    left = len(anchors) - position
                    return
                yield position

        try:
            at_most(self.concurrency, ask, affordable(), take=take, stop=server.stop)
        finally:
            notes.write()
        if left:
            raise BudgetError(
                f"the budget of {self.model}, {self.spending.budget}, is spent: {self.spending.pairs:,} pairs were "
                f"asked about ({self.spending.tokens:,} tokens), and at least {left:,} that are needed were not. All "
                "answers are kept: run the same again (resume=True, --resume) with a new budget, and none is paid twice"
            )

    def _request(self, template: str, anchor: str, document: str) -> dict[str, Any]:
        said = filled(template, anchor[: self.longest], document[: self.longest])
        body: dict[str, Any] = {"model": self.model, "messages": [{"role": "user", "content": said}]}
        if self.temperature is not None:
            body["temperature"] = self.temperature
        body["max_tokens"] = self.max_tokens
        if self.logprobs:
            body |= {"logprobs": True, "top_logprobs": 20}
        # None takes a field out: some servers know max_tokens by another name
        return {name: value for name, value in {**body, **self.extra}.items() if value is not None}

    def _read(self, answer: Any, server: Server, anchor: str, document: str) -> tuple[float, str]:
        """(score, what was said)."""
        said, ended, content, tokens = "", None, None, None
        readable = False
        with contextlib.suppress(TypeError, KeyError, IndexError, AttributeError):
            choice = answer["choices"][0]
            said, ended = choice["message"].get("content") or "", choice.get("finish_reason")
            content = (choice.get("logprobs") or {}).get("content")
            tokens = (answer.get("usage") or {}).get("total_tokens")
            readable = isinstance(said, str)
        if not readable:
            raise server.error(
                f"{self.url}/v1{PATH} answered {server.shown(answer)!r}; a list of choices with a message was "
                f"expected: is this {KIND}?"
            )
        if isinstance(tokens, int):
            self.spending.used(tokens)
        elif self.budget_tokens is not None:
            raise server.error(
                f"{self.url} does not say how many tokens an answer has cost (usage.total_tokens), and budget_tokens "
                "was given: give max_pairs instead"
            )
        score = self._of_tokens(content, server) if self.logprobs else read(said, self.answers)
        if score is None:
            score = self._unread(said, ended, server, anchor, document)
        return score, said

    def _of_tokens(self, content: Any, server: Server) -> float | None:
        if not content:
            raise server.error(
                f"{self.url} gives no log-probabilities (choices[0].logprobs.content): pass logprobs=False, or have it "
                "started with them"
            )
        with contextlib.suppress(TypeError, KeyError, ValueError):
            return logit(content)
        raise server.error(f"{self.url} answered log-probabilities that cannot be read: {server.shown(content)!r}")

    def _unread(self, said: str, ended: Any, server: Server, anchor: str, document: str) -> float:
        if self.unreadable is not None and not self.logprobs:
            return float(self.unreadable)
        wanted = "a grade from 0 to 3 ('Grade: 2')" if self.answers == "graded" else "yes or no"
        cut = f" It was cut off at max_tokens={self.max_tokens}: give more." if ended == "length" else ""
        raise TeacherError(
            f"{self.model} was asked for {wanted} about anchor {anchor[:SHOWN]!r} and document {document[:SHOWN]!r}, "
            f"and said {server.shown(said[-200:], 200)!r}.{cut} Say so more plainly in a prompt of your own, or count "
            "such answers as something (unreadable=)"
        )

    # Settings and text.

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.prompt is not None and self.digest != state.get("pinned"):
            raise EndpointError(f"{self!r}: the prompt is not the one that the step was made with; make the step again")


class _Notes:
    """What was said of pairs, written down as it comes."""

    def __init__(self, digest: str, anchors: list[str], documents: list[str]) -> None:
        self._digest, self._anchors, self._documents = digest, anchors, documents
        self._said: dict[int, str] = {}
        self._written = time.monotonic()

    def add(self, position: int, said: str) -> None:
        self._said[position] = said
        if time.monotonic() - self._written > KEEP_EVERY:
            self.write()

    def write(self) -> None:
        said, self._said = self._said, {}
        self._written = time.monotonic()
        anchors, documents = ([texts[i] for i in said] for texts in (self._anchors, self._documents))
        kept_answers.put(self._digest, pair_keys(hash_texts(anchors), hash_texts(documents)), said.values())
