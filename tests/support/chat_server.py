"""A loopback server of chat completions, whose model is a function of the prompt, with faults on demand."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Fault = tuple[int, bytes, dict[str, str]]


class ChatServer:
    """Answers ``POST /v1/chat/completions``.

    Attributes:
        say: prompt -> the answer; of a number (log-odds of yes) come log-probabilities, too.
        faults: statuses with bodies and headers that are answered first.
        bodies: the JSON of every request that got an answer.
        usage: tokens that an answer costs; None where the server does not count.
    """

    def __init__(self, say: Callable[[str], Any]) -> None:
        self.say, self.faults, self.bodies = say, list[Fault](), list[dict[str, Any]]()
        self.headers: list[dict[str, str]] = []
        self.usage: int | None = 7
        self.finish = "stop"
        self.before: Callable[[], None] = lambda: None
        outer, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    fault = outer.faults.pop(0) if outer.faults else None
                if fault is not None:
                    return self.answer(*fault)
                if self.path != "/v1/chat/completions":
                    return self.answer(404, b'{"error": {"message": "no such path"}}', {})
                outer.before()
                with lock:
                    outer.bodies.append(body)
                    outer.headers.append(dict(self.headers))
                return self.answer(200, json.dumps(outer.completion(body)).encode(), {})

            def answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        said = self.say(body["messages"][0]["content"])
        choice: dict[str, Any] = {"index": 0, "finish_reason": self.finish}
        if isinstance(said, float):
            yes = 1 / (1 + math.exp(-said))
            words = [{"token": " Yes", "logprob": math.log(yes)}, {"token": " no", "logprob": math.log(1 - yes)}]
            words.sort(key=lambda word: -float(str(word["logprob"])))
            choice["logprobs"] = {"content": [{**words[0], "top_logprobs": words}]}
            said = str(words[0]["token"])
        choice["message"] = {"role": "assistant", "content": said}
        found: dict[str, Any] = {"id": "1", "object": "chat.completion", "model": body["model"], "choices": [choice]}
        if self.usage is not None:
            found["usage"] = {"prompt_tokens": self.usage - 1, "completion_tokens": 1, "total_tokens": self.usage}
        return found


def asked(prompt: str) -> tuple[str, str]:
    """(anchor, document) of a built-in prompt."""
    anchor = prompt.split("Query: ", 1)[1].split("\n", 1)[0]
    document = prompt.split("Passage: ", 1)[1].split("\n\n", 1)[0]
    return anchor, document
