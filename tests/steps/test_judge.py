"""A judge that reads: what it is asked, how its answers are read, what it costs, and that nothing of it is lost."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import ChatServer, asked
from datasets import Dataset

import hfneg
from hfneg.base.store import answers as kept_answers
from hfneg.base.store.scores import ScoreStore
from hfneg.errors import BudgetError, EndpointError, SettingError, TeacherError
from hfneg.pipeline.policy import Policy
from hfneg.steps.teachers.judge import prompts

ANCHORS, DOCUMENTS = ["fault", "fault", "wave"], ["a fault slips", "a wave", "a wave travels"]


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[str], Any]], ChatServer]]:
    servers: list[ChatServer] = []

    def start(say: Callable[[str], Any]) -> ChatServer:
        servers.append(ChatServer(say))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def by_words(prompt: str) -> str:
    """Grade 3 where the document has the anchor as a word, else 0."""
    anchor, document = asked(prompt)
    grade = 3 * (anchor.split()[0] in document.split())
    return f"It {'does' if grade else 'does not'} name the {anchor.split()[0]}.\nGrade: {grade}"


# What is asked and read.


def test_grades_are_read_and_kept_with_their_reasons(serve: Callable[..., ChatServer]) -> None:
    """One request per pair, with both texts in it; the answer's grade is the raw score, its words lie in the store."""
    server = serve(by_words)
    corpus = hfneg.Corpus.from_texts(DOCUMENTS)
    anchors = hfneg.Anchors([{"q": "fault", "a": DOCUMENTS[0]}], corpus, anchor="q", positive="a")
    judge = hfneg.JudgeTeacher(f"{server.url}/v1/", model="lab/reader")
    assert judge.score(ANCHORS, DOCUMENTS).tolist() == [3.0, 0.0, 3.0]
    assert len(server.bodies) == 3
    assert {body["model"] for body in server.bodies} == {"lab/reader"}
    assert {(body["temperature"], body["max_tokens"]) for body in server.bodies} == {(0.0, 1024)}
    assert sorted(asked(body["messages"][0]["content"]) for body in server.bodies) == sorted(
        zip(ANCHORS, DOCUMENTS, strict=True)
    )
    said = kept_answers.get(judge.digest)
    assert sorted(said.values())[0] == "It does name the fault.\nGrade: 3"
    assert len(said) == 3
    assert len(anchors) == 1


@pytest.mark.parametrize(
    ("answer", "graded", "yes_no"),
    [
        ("Grade: 2", 2, None),
        ("It might be a grade 3 passage, but no.\nGrade: **1**", 1, None),
        ("0", 0, None),
        (" 3. ", 3, None),
        ("grade = 4", None, None),
        ("Grade: 2.5", None, None),
        ("30", None, None),
        ("<think>Grade: 3? yes</think>\n\nGrade: 0", 0, None),
        ("<think>Grade: 3, and yes, I go on thinking", None, None),
        ("Yes.", None, 1),
        ("no", None, 0),
        ("The passage is about yes and no. Answer: no", None, 0),
        ("I cannot help with that.", None, None),
        ("", None, None),
        ("none", None, None),
    ],
)
def test_how_answers_are_read(answer: str, graded: float | None, yes_no: float | None) -> None:
    """The last grade, or the word; what says neither is no score, and thoughts are no answer."""
    assert prompts.read(answer, "graded") == graded
    assert prompts.read(answer, "yes_no") == yes_no


def test_braces_in_texts_stay(serve: Callable[..., ChatServer], tmp_path: Path) -> None:
    """A document that holds {anchor} is sent as it is; a prompt of one's own is a file, which counts by its content."""
    path = tmp_path / "prompt.txt"
    path.write_text("A={anchor} D={document} {left alone}")
    server = serve(lambda prompt: "Grade: 1")
    judge = hfneg.JudgeTeacher(server.url, model="m", prompt=str(path))
    judge.score(["{document}"], ["{anchor} {0}"])
    assert server.bodies[0]["messages"][0]["content"] == "A={document} D={anchor} {0} {left alone}"
    before, packed = judge.digest, pickle.dumps(judge)
    assert pickle.loads(packed).digest == before
    path.write_text("D={document} A={anchor}")
    assert hfneg.JudgeTeacher(server.url, model="m", prompt=str(path)).digest != before
    with pytest.raises(EndpointError, match="the prompt is not the one"):
        pickle.loads(packed)
    path.write_text("{anchor}")
    with pytest.raises(SettingError, match=r"it lacks \{document\}"):
        hfneg.JudgeTeacher(server.url, model="m", prompt=str(path))


def test_what_changes_a_score_changes_the_digest() -> None:
    """Model, id, answers, length, heat, extra: yes; url, concurrency and budget: no."""
    url = "http://host:1"
    plain = hfneg.JudgeTeacher(url, model="m")
    for same in (
        hfneg.JudgeTeacher("http://host:2/v1", model="m"),
        hfneg.JudgeTeacher(url, model="m", concurrency=2, max_pairs=3, budget_tokens=9, per_minute=5, timeout=1),
        hfneg.JudgeTeacher(url, model="m", positives=True, scale="raw"),
    ):
        assert same.digest == plain.digest
    others = [
        {"model": "n"},
        {"id": "2"},
        {"answers": "yes_no"},
        {"answers": "yes_no", "logprobs": True},
        {"longest": 9},
        {"temperature": None},
        {"max_tokens": 5},
        {"unreadable": 0},
        {"extra": {"seed": 1}},
    ]
    digests = {hfneg.JudgeTeacher(url, **{"model": "m", **other}).digest for other in others}
    assert len(digests | {plain.digest}) == len(others) + 1


def test_log_probabilities(serve: Callable[..., ChatServer]) -> None:
    """log P(yes) - log P(no), over all spellings; a server without them is refused."""
    server = serve(lambda prompt: 1.5 if "slips" in prompt else -2.0)
    judge = hfneg.JudgeTeacher(server.url, model="m", answers="yes_no", logprobs=True)
    raw = judge.score(["q", "q"], ["it slips", "other"])
    assert raw.tolist() == pytest.approx([1.5, -2.0], abs=1e-6)
    assert judge.scaled(raw).tolist() == pytest.approx([0.8175745, 0.1192029], abs=1e-6)
    assert server.bodies[0]["logprobs"] is True
    server.say = lambda prompt: "Yes"
    with pytest.raises(EndpointError, match=r"gives no log-probabilities .*logprobs=False"):
        judge.score(["q"], ["new"])


def test_log_probabilities_of_spellings() -> None:
    """Yes, " yes" and YES are one word; one that is not listed counts as the last that is; others say nothing."""
    listed = [{"token": " yes", "logprob": np.log(0.5)}, {"token": "Yes", "logprob": np.log(0.25)}]
    token = {"token": " yes", "logprob": np.log(0.5), "top_logprobs": [*listed, {"token": "x", "logprob": np.log(0.1)}]}
    assert prompts.logit([token]) == pytest.approx(np.log(0.75 / 0.1))
    newline = {"token": "\n", "logprob": 0.0, "top_logprobs": [{"token": "\n", "logprob": 0.0}]}
    assert prompts.logit([newline, token]) == prompts.logit([token])
    assert prompts.logit([newline]) is None


def test_extra_fields_of_the_request(serve: Callable[..., ChatServer]) -> None:
    """`extra` adds, replaces, and with None takes out; a temperature of None is not sent."""
    server = serve(lambda prompt: "Grade: 1")
    extra = {"max_tokens": None, "max_completion_tokens": 9, "seed": 3}
    hfneg.JudgeTeacher(server.url, model="m", temperature=None, extra=extra).score(["q"], ["d"])
    body = server.bodies[0]
    assert set(body) == {"model", "messages", "max_completion_tokens", "seed"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://user:passw0rd@host"},
        {"url": "ftp://host"},
        {"model": ""},
        {"answers": "maybe"},
        {"logprobs": True},
        {"scale": "probability"},
        {"unreadable": 4},
        {"max_pairs": 0},
        {"budget_tokens": 1.5},
        {"per_minute": 0},
        {"temperature": -1},
        {"prompt": "no/such/file.txt"},
        {"extra": "seed=1"},
        {"longest": 0},
    ],
)
def test_settings_that_make_no_sense(wrong: dict[str, Any]) -> None:
    """Refused when it is built, naming the setting."""
    with pytest.raises(SettingError, match=next(iter(wrong))) as caught:
        hfneg.JudgeTeacher(**{"url": "http://host:1", "model": "m", **wrong})
    assert "passw0rd" not in str(caught.value)


def test_recipe_text(tmp_path: Path) -> None:
    """It is written into a recipe and read back as it was, `extra` too."""
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("{anchor} {document}")
    judge = hfneg.JudgeTeacher(
        "http://host:1", model="m", prompt=str(prompt), extra={"a": {"b": [1, True]}}, max_pairs=5
    )
    recipe = hfneg.Recipe(k=9, teacher=judge, filters=[hfneg.Band(high=1, by="teacher")])
    again = hfneg.Recipe.from_yaml(recipe.to_yaml())
    assert again.teacher == judge
    assert again.teacher.digest == judge.digest


# Faults.


def test_a_busy_server_is_asked_again(serve: Callable[..., ChatServer]) -> None:
    """429 with Retry-After, 500, then the answer."""
    server = serve(by_words)
    server.faults = [(429, b'{"error": {"message": "slow down"}}', {"Retry-After": "0"}), (500, b"oh", {})]
    judge = hfneg.JudgeTeacher(server.url, model="m", concurrency=1, retries=3)
    assert judge.score(ANCHORS, DOCUMENTS).tolist() == [3.0, 0.0, 3.0]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ((400, b'{"error": {"message": "temperature is not supported"}}', {}), "temperature is not supported"),
        ((401, b"{}", {}), "set HFNEG_ENDPOINT_TOKEN"),
        ((404, b'{"error": {"message": "no such model"}}', {}), "give the url up to /v1, and a model"),
        ((200, b'{"choices": []}', {}), "a list of choices with a message was expected"),
        ((200, b"[1]", {}), "a list of choices with a message was expected"),
        ((200, b"<html>", {}), "no JSON"),
        ((200, b'{"choices": [{"message": {"content": [1]}}]}', {}), "a list of choices with a message was expected"),
    ],
)
def test_a_server_that_refuses(serve: Callable[..., ChatServer], fault: Any, said: str) -> None:
    """Said with its words and what to do; no word of another kind of server."""
    server = serve(by_words)
    server.faults = [fault]
    with pytest.raises(EndpointError) as caught:
        hfneg.JudgeTeacher(server.url, model="m", retries=0).score(["q"], ["d"])
    assert said in str(caught.value)
    assert "rerank" not in str(caught.value)


def test_an_answer_without_a_grade(serve: Callable[..., ChatServer]) -> None:
    """Names the pair, quotes the answer, and says what to do; `unreadable` gives it a score; a cut one is called so."""
    server = serve(lambda prompt: "I would rather not." if "wave" in prompt else "Grade: 2")
    judge = hfneg.JudgeTeacher(server.url, model="m", concurrency=1)
    seen: list[int] = []
    with pytest.raises(TeacherError, match=r"document 'a wave', and said 'I would rather not\.'.*unreadable="):
        judge.score(ANCHORS, DOCUMENTS, on_scored=lambda at, scores: seen.extend(at.tolist()))
    assert seen == [0]
    assert hfneg.JudgeTeacher(server.url, model="m", unreadable=3).score(ANCHORS, DOCUMENTS).tolist() == [2, 3, 3]
    server.finish = "length"
    with pytest.raises(TeacherError, match="cut off at max_tokens=1024"):
        judge.score(["q"], ["wave"])


def test_requests_a_minute(serve: Callable[..., ChatServer], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits for its turn: of four at 600 a minute the last waits 0.3 s."""
    import threading

    waited: list[float] = []
    monkeypatch.setattr(threading.Event, "wait", lambda self, seconds=None: bool(waited.append(seconds or 0.0)))
    from hfneg.steps.teachers.judge.spending import Spending

    spending, stop = Spending(None, None, 600), threading.Event()
    for _ in range(4):
        spending.wait(stop)
    assert waited == pytest.approx([0, 0.1, 0.2, 0.3], abs=0.02)


# What it costs.


def judged_corpus(n: int = 40) -> tuple[hfneg.Corpus, Dataset]:
    """Documents that share the words of five anchors; every third of an anchor's is relevant to it."""
    topics = ["fault", "wave", "rock", "crust", "vent"]
    texts = [f"{topic} number {i} {'good' if i % 3 == 0 else 'plain'}" for topic in topics for i in range(n)]
    corpus = hfneg.Corpus.from_texts(texts)
    rows = [{"q": f"{topic} number", "a": f"{topic} number 0 good"} for topic in topics]
    return corpus, Dataset.from_list(rows)


def good(prompt: str) -> str:
    anchor, document = asked(prompt)
    return f"Because.\nGrade: {3 * (document.endswith('good') and anchor.split()[0] == document.split()[0])}"


def recipe_of(server: ChatServer, **settings: Any) -> hfneg.Recipe:
    """Of a judge that the store knows by this server, unless it is called otherwise."""
    judge = hfneg.JudgeTeacher(server.url, model="m", **{"id": server.url, **settings})
    filters = [hfneg.Band(high=1, by="teacher")]
    return hfneg.Recipe(k=60, teacher=judge, filters=filters, sampler=hfneg.TakeTop(5), short=hfneg.Fill())


def test_it_is_asked_until_enough_have_passed(serve: Callable[..., ChatServer], tmp_path: Path) -> None:
    """In the sampler's order, no pair twice, not about positives, and not one question beyond the fifth that passed."""
    corpus, pairs = judged_corpus()
    server = serve(good)
    mined = hfneg.mine(pairs, corpus, recipe_of(server), anchor="q", positive="a", out=tmp_path / "mined")
    assert all(not text.endswith("good") for texts in mined["hard_negatives"] for text in texts)
    assert {len(texts) for texts in mined["hard_negatives"]} == {5}
    asked_of = [asked(body["messages"][0]["content"]) for body in server.bodies]
    assert len(set(asked_of)) == len(asked_of)
    assert not {pair for pair in asked_of if pair[1].endswith("number 0 good")} & {(r["q"], r["a"]) for r in pairs}
    relevant = sum(document.endswith("good") for _, document in asked_of)
    assert len(asked_of) == 5 * 5 + relevant
    summary = hfneg.open_summary(tmp_path / "mined")
    assert summary["teacher"]["pairs_asked"] == len(asked_of)
    assert summary["teacher"]["asks_positives"] is False
    assert np.isnan(np.array(mined["positive_teacher_scores"], dtype=float)).all()


def test_a_budget_ends_the_run_and_nothing_is_paid_twice(serve: Callable[..., ChatServer], tmp_path: Path) -> None:
    """BudgetError says how many are missing; gone on with a new budget the run asks for the rest alone, and ends in the
    rows of a run without a budget."""
    corpus, pairs = judged_corpus()
    server = serve(good)
    arguments: dict[str, Any] = {"anchor": "q", "positive": "a"}
    with pytest.raises(BudgetError, match=r"10 pairs, is spent: 10 pairs were asked about \(70 tokens\).*resume"):
        hfneg.mine(pairs, corpus, recipe_of(server, max_pairs=10), **arguments, out=tmp_path / "mined")
    first = len(server.bodies)
    assert first == 10
    mined = hfneg.mine(
        pairs, corpus, recipe_of(server, max_pairs=500), **arguments, out=tmp_path / "mined", overwrite=True
    )
    whole = [asked(body["messages"][0]["content"]) for body in server.bodies]
    assert len(set(whole)) == len(whole)
    other = hfneg.mine(pairs, corpus, recipe_of(server), **arguments, out=tmp_path / "other")
    assert other["hard_negatives"] == mined["hard_negatives"]
    assert len(server.bodies) == len(whole)


def test_a_budget_of_tokens(serve: Callable[..., ChatServer]) -> None:
    """Counted as the server counts; where it does not, the budget is refused after the first answer."""
    server = serve(by_words)
    judge = hfneg.JudgeTeacher(server.url, model="m", budget_tokens=14, concurrency=1)
    with pytest.raises(BudgetError, match="14 tokens, is spent: 2 pairs"):
        judge.score(ANCHORS, DOCUMENTS)
    server.usage = None
    with pytest.raises(EndpointError, match=r"does not say how many tokens.*max_pairs"):
        hfneg.JudgeTeacher(server.url, model="m", budget_tokens=14).score(["q"], ["d"])


def test_answers_are_kept_as_they_come(serve: Callable[..., ChatServer], monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores are committed in the middle of a block, so that a kill loses seconds of answers and no more."""
    from hfneg.steps import scorer
    from hfneg.steps.scorer import TeacherScorer

    monkeypatch.setattr(scorer, "KEEP_EVERY", -1.0)
    corpus, pairs = judged_corpus()
    anchors = hfneg.Anchors(pairs, corpus, anchor="q", positive="a")
    server = serve(good)
    judge = hfneg.JudgeTeacher(server.url, model="m", id="kept", concurrency=1)
    stored: list[int] = []
    server.before = lambda: stored.append(len(ScoreStore(judge.digest)))
    TeacherScorer(anchors, judge).score(np.zeros(4, dtype=np.int64), np.arange(4))
    assert stored[0] == 0
    assert max(stored) >= 2
    assert len(ScoreStore(judge.digest)) == 4


def test_steps_that_compare_with_positives(serve: Callable[..., ChatServer], tmp_path: Path) -> None:
    """Refused before a question is asked, unless it is asked about positives, too; then their scores are there."""
    corpus, pairs = judged_corpus()
    server = serve(good)
    judge = hfneg.JudgeTeacher(server.url, model="m", id="compared")
    for step in (
        {"filters": [hfneg.Margin(absolute=1)]},
        {"filters": [hfneg.BelowPositives(0.5)]},
        {"sampler": hfneg.TakeSimANS(n=3, by="teacher")},
        {"promote": hfneg.Promote(n=1)},
    ):
        with pytest.raises(SettingError, match="positives=True"):
            hfneg.mine(pairs, corpus, hfneg.Recipe(k=9, teacher=judge, **step), anchor="q", positive="a")
    assert not server.bodies
    both = hfneg.JudgeTeacher(server.url, model="m", id="compared", positives=True)
    recipe = hfneg.Recipe(k=9, teacher=both, filters=[hfneg.Margin(absolute=1)], sampler=hfneg.TakeTop(2))
    mined = hfneg.mine(pairs, corpus, recipe, anchor="q", positive="a")
    assert mined["positive_teacher_scores"] == [[3.0]] * 5
    assert judge.digest == both.digest


def test_a_judged_folder_is_looked_back_at(serve: Callable[..., ChatServer], tmp_path: Path) -> None:
    """Selected anew without a question, its report and calibration work, and the leak rate says why it has none."""
    corpus, pairs = judged_corpus()
    server = serve(good)
    out = tmp_path / "mined"
    hfneg.mine(pairs, corpus, recipe_of(server), anchor="q", positive="a", out=out)
    questions = len(server.bodies)
    stricter = hfneg.reselect(out, out=tmp_path / "again", sampler=hfneg.TakeTop(3))
    assert {len(texts) for texts in stricter["hard_negatives"]} == {3}
    hfneg.report(out, out=tmp_path / "report.html")
    with pytest.raises(hfneg.NeedsTeacher, match="positives=True"):
        hfneg.leak_rate(out)
    to_judge = tmp_path / "to_judge.csv"
    hfneg.calibrate(out, sample=10, out=to_judge)
    lines = [{**row, "relevance": 0} for row in Dataset.from_csv(str(to_judge))]
    found = hfneg.calibrate(out, judge=lines)
    assert found.leak is None
    assert found.false_negatives.rate == 0
    assert len(server.bodies) == questions


def test_its_reasons_are_shown(serve: Callable[..., ChatServer], tmp_path: Path) -> None:
    """In `show` under the document, in the report beside it; each of the pair that it was said of."""
    from rich.console import Console

    from hfneg.cli.printing import anchors as printing
    from hfneg.runs.folder.browse import browse

    corpus, pairs = judged_corpus()
    server = serve(lambda prompt: f"{asked(prompt)[1]} & <b>so</b>.\n{good(prompt)}")
    out = tmp_path / "mined"
    hfneg.mine(pairs, corpus, recipe_of(server), anchor="q", positive="a", out=out)
    for anchor in browse(out).anchors:
        for one in anchor.candidates:
            assert one.said is not None
            assert one.said.startswith(f"{one.text} & <b>so</b>.")
        assert [one.said for one in anchor.positives] == [None]
    console = Console(width=160, record=True, file=io.StringIO())
    printing.show(console, browse(out, anchor="fault"))
    assert "judge: fault number 1 plain & <b>so</b>. Because. Grade: 0" in console.export_text()
    page = hfneg.report(out, out=tmp_path / "report.html").read_text()
    assert "fault number 1 plain \\u0026 \\u003cb\\u003eso" in page


def test_a_judged_folder_is_published(serve: Callable[..., ChatServer], tmp_path: Path) -> None:
    """The card names the judge's model and its grades, and neither server nor the prompt's path."""
    corpus, pairs = judged_corpus()
    server = serve(good)
    prompt = tmp_path / "secret-place" / "prompt.txt"
    prompt.parent.mkdir()
    prompt.write_text(prompts.GRADED)
    recipe = recipe_of(server, prompt=str(prompt))
    hfneg.mine(pairs, corpus, recipe, anchor="q", positive="a", out=tmp_path / "mined")
    hfneg.publish(tmp_path / "mined", "org/x", dry_run=tmp_path / "dry", audit=False, license="mit")
    for path in (file for file in (tmp_path / "dry").rglob("*") if file.is_file()):
        content = path.read_bytes()
        assert b"127.0.0.1" not in content, path
        assert b"secret-place" not in content, path
    card = (tmp_path / "dry" / "README.md").read_text()
    assert "JudgeTeacher(url='local:server', model='m'" in card
    assert "UMBRELA" in card


# A cascade.


def test_the_costly_one_is_asked_where_the_cheap_one_is_unsure(
    serve: Callable[..., ChatServer], tmp_path: Path
) -> None:
    """Below `low` 0, above `high` 1, between the judge's grade by 3; the summary counts what the judge was spared.

    A ledger is selected from again without a question.
    """
    corpus, pairs = judged_corpus()
    server = serve(good)

    def number(anchors: list[str], documents: list[str]) -> list[float]:
        """Sure of the first ten and of those from 30 on, of which every third is relevant after all."""
        return [float(document.split()[2]) for document in documents]

    cheap = hfneg.FunctionTeacher(number, id=server.url, scale="from_zero")
    judge = hfneg.JudgeTeacher(server.url, model="m", id=server.url, positives=True)
    cascade = hfneg.Cascade([cheap, judge], between=(10, 29))
    recipe = hfneg.Recipe(
        k=40, teacher=cascade, filters=[hfneg.Band(high=0.5, by="teacher")], sampler=hfneg.TakeRandom(20)
    )
    out = tmp_path / "mined"
    mined = hfneg.mine(pairs, corpus, recipe, anchor="q", positive="a", out=out)
    asked_of = [asked(body["messages"][0]["content"])[1] for body in server.bodies]
    assert asked_of
    assert all(10 <= int(document.split()[2]) <= 29 for document in asked_of)
    for row in mined:
        for text, score in zip(row["hard_negatives"], row["hard_negative_teacher_scores"], strict=True):
            place = int(text.split()[2])
            assert place < 30
            assert place < 10 or text.endswith("plain")
            assert score == 0
    teacher = hfneg.open_summary(out)["teacher"]
    assert teacher["pairs_spared"] > 0
    assert teacher["pairs_asked"] + teacher["pairs_spared"] + teacher["pairs_from_store"] == 2 * (
        teacher["pairs_asked"] - len(asked_of)
    )
    questions = len(server.bodies)
    again = hfneg.reselect(out, out=tmp_path / "again", sampler=hfneg.TakeRandom(2))
    assert {len(texts) for texts in again["hard_negatives"]} == {2}
    assert len(server.bodies) == questions
    written = hfneg.Recipe.from_yaml(hfneg.Recipe(k=9, teacher=hfneg.Cascade([judge, judge], between=(1, 2))).to_yaml())
    assert written.teacher.between == (1, 2)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda judge, free: hfneg.Cascade([judge], between=(0, 1)), "two teachers"),
        (lambda judge, free: hfneg.Cascade([judge, hfneg.MinOfTeachers([judge, judge])]), "neither an ensemble"),
        (lambda judge, free: hfneg.Cascade([judge, judge], between=(2, 1)), "the lower first"),
        (lambda judge, free: hfneg.Cascade([judge, judge], between=0.5), "two numbers"),
        (lambda judge, free: hfneg.Cascade([judge, free]), "no upper end"),
        (
            lambda judge, free: Policy(
                hfneg.Agreement(hfneg.Band(high=1, by="teacher")), teacher=hfneg.Cascade([judge, judge])
            ),
            "do not see the same pairs",
        ),
    ],
)
def test_cascades_that_make_no_sense(make: Callable[[Any, Any], Any], said: str) -> None:
    """Refused when they are built."""
    judge = hfneg.JudgeTeacher("http://host:1", model="m")
    free = hfneg.FunctionTeacher(lambda anchors, documents: [1.0] * len(anchors), id="free", scale="from_zero")
    with pytest.raises(SettingError, match=said):
        make(judge, free)
