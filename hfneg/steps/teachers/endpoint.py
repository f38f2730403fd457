"""`EndpointTeacher`: a reranker behind a server of text-embeddings-inference."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hfneg.base import store
from hfneg.base.http.server import Server, at_most, is_address, shown_address
from hfneg.base.settings import check, is_number, is_whole
from hfneg.errors import EndpointError
from hfneg.steps.teachers.base import Received, Teacher

FORMAT = 1
ENGINE = "text-embeddings-inference"
LONGEST_NAME = 500  # characters of a model's name or commit


@dataclass(frozen=True, repr=False)
class EndpointTeacher(Teacher):
    """Scores by ``POST /rerank`` of a text-embeddings-inference server (or one that answers like it).

    >>> EndpointTeacher("http://127.0.0.1:8080", model="BAAI/bge-reranker-v2-m3")
    EndpointTeacher(url='http://127.0.0.1:8080', model='BAAI/bge-reranker-v2-m3')

    Raw scores are logits (``raw_scores: true``). Pairs of one anchor go into one request, `concurrency` requests are
    under way at once. Busy servers (429), failing ones (5xx), time-outs and broken connections are tried again, with
    growing waits or after what ``Retry-After`` says.

    Args:
        url: of the server, without ``/rerank``.
        model: the model_id that ``GET /info`` must name; None takes what is served.
        id: names what the server computes, instead of ``GET /info`` (model, commit, precision, longest input);
            needed where the server does not know its commit. Give another one whenever the server changes.
        truncate: cut texts that are too long; otherwise the server refuses them.
        batch_size: texts per request; the server's limit is 32 unless it was started with another.
        concurrency: requests under way at once.
        timeout: seconds for a request as a whole, until the last byte of its answer.
        retries: how often a request is tried again.
        scale: "probability" (the default), "logit", or "from_zero".

    The environment variable HFNEG_ENDPOINT_TOKEN is sent as bearer token: to this url's scheme, host and port and
    nowhere else, for a redirect to another origin is refused. It is in no repr, recipe, digest, pickle or message.

    Raises SettingError: a url that is none, or that holds a password; a token that no header can hold. EndpointError:
    see `score`.
    """

    url: str
    model: str | None = None
    id: str | None = None
    truncate: bool = True
    batch_size: int = 32
    concurrency: int = 8
    timeout: float = 60.0
    retries: int = 6
    scale: str | None = None

    scales = ("probability", "logit", "from_zero")
    remote = True

    def __post_init__(self) -> None:
        url = self.url.rstrip("/") if isinstance(self.url, str) else ""
        good = is_address(url)
        check(good, self, "url", shown_address(self.url), "like 'http://host:8080', without user, password or query")
        object.__setattr__(self, "url", url)
        for setting in ("model", "id"):
            given = getattr(self, setting)
            check(given is None or (isinstance(given, str) and bool(given)), self, setting, given, "a text or None")
        for setting, least in (("batch_size", 1), ("concurrency", 1), ("retries", 0)):
            given = getattr(self, setting)
            check(is_whole(given, least), self, setting, given, f"a whole number from {least} up")
        check(is_number(self.timeout) and self.timeout > 0, self, "timeout", self.timeout, "seconds, more than 0")
        check(isinstance(self.truncate, bool), self, "truncate", self.truncate, "True or False")
        self._check_scale(self.scale)

    @property
    def resolved_scale(self) -> str:
        return self.scale or "probability"

    @property
    def digest(self) -> str:
        """Of `id`, or of what ``GET /info`` says (asked once); the url is not in it."""
        known: str | None = self.__dict__.get("_pinned")
        if known is None:
            known = self._identity()
            object.__setattr__(self, "_pinned", known)
        return known

    def _identity(self) -> str:
        if self.id is not None:
            return store.digest_of(FORMAT, ENGINE, "id", self.id, self.truncate)
        server = self._server
        info = server.get("/info")
        info = info if isinstance(info, dict) else {}
        name, commit = (_text(info.get(key)) for key in ("model_id", "model_sha"))
        if self.model is not None and name != self.model:
            raise server.error(
                f"{self.url} serves {name!r}, not {self.model!r}; start it with that model, or change model="
            )
        if not name or not commit:
            raise server.error(
                f"{self.url}/info does not say which weights are served (model_id={name!r}, model_sha={commit!r}); "
                "scores are stored by weights: pass id='...', a name of your own that you change whenever the server's "
                "model changes"
            )
        rest = [info.get(key) for key in ("model_dtype", "max_input_length" if self.truncate else "")]
        if any(isinstance(value, list | dict) for value in rest):
            raise server.error(
                f"{self.url}/info answered {server.shown(rest)} for precision and longest input; a text and a number "
                "were expected: is this a text-embeddings-inference server?"
            )
        object.__setattr__(self, "_served", name)
        return store.digest_of(FORMAT, ENGINE, name, commit, rest, self.truncate)

    @property
    def served(self) -> str | None:
        """The model, as given or as the server has said; None before it was asked, or with an `id`."""
        said: str | None = self.__dict__.get("_served")
        return self.model or said

    @property
    def _server(self) -> Server:
        return Server(self.url, float(self.timeout), self.retries)

    def _score(self, anchors: list[str], documents: list[str], done: Received) -> None:
        """Raises EndpointError for a server that is down, slow, refuses or answers nonsense.

        Answers that came before, or that were under way, are handed to `on_scored` first.
        """
        if self.id is None and self._identity() != self.digest:
            raise EndpointError(f"{self.url} serves another model than when this step was made; make the step again")
        server = self._server

        def ask(positions: list[int]) -> tuple[list[int], list[float]]:
            texts = [documents[position] for position in positions]
            body = {"query": anchors[positions[0]], "texts": texts, "raw_scores": True, "truncate": self.truncate}
            return positions, _scores(server.post("/rerank", body), len(texts), server)

        at_most(
            self.concurrency,
            ask,
            _requests(anchors, self.batch_size),
            take=lambda answer: done(*answer),
            stop=server.stop,
        )


def _text(given: Any) -> str | None:
    return given if isinstance(given, str) and len(given) <= LONGEST_NAME else None


def _requests(anchors: list[str], batch_size: int) -> Iterator[list[int]]:
    """Positions of pairs of one anchor, at most `batch_size` at once, anchors in order of appearance."""
    groups: dict[str, list[int]] = {}
    for position, anchor in enumerate(anchors):
        groups.setdefault(anchor, []).append(position)
    for group in groups.values():
        for start in range(0, len(group), batch_size):
            yield group[start : start + batch_size]


def _scores(answer: Any, n: int, server: Server) -> list[float]:
    """``[{"index": 1, "score": 0.3}, ..]`` in the order of the texts; a score of null is NaN."""
    indices: list[int] | None = None
    with contextlib.suppress(TypeError, KeyError, ValueError, OverflowError):
        found = {row["index"]: np.nan if row["score"] is None else float(row["score"]) for row in answer}
        indices = sorted(found)
    if indices is None:
        raise server.error(
            f"{server.url}/rerank answered {server.shown(answer)!r}; a list of {{'index': .., 'score': ..}} was "
            "expected: is this a text-embeddings-inference server?"
        )
    if len(answer) != n or indices != list(range(n)):
        raise EndpointError(
            f"{server.url}/rerank returned {len(answer)} scores for {n} texts; one per text was expected"
        )
    return [found[i] for i in range(n)]
