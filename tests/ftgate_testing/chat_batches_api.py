"""The files and batches of the OpenAI API on loopback: uploaded, sent, listed, ended by a test."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from ftgate_testing.loopback import Handler, loopback

#: Maps the body of a request to its line of the results, without the custom id.
Becomes = Callable[[dict[str, Any]], dict[str, Any] | None]


def completed(text: str = "ok", model: str = "gpt-x") -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 9, "completion_tokens": 2}
    body = {"model": model, "choices": [choice | {"finish_reason": "stop"}], "usage": usage}
    return {"response": {"status_code": 200, "request_id": "r1", "body": body}, "error": None}


def refused(message: str, status: int = 400) -> dict[str, Any]:
    body = {"error": {"message": message, "type": "invalid_request_error"}}
    return {"response": {"status_code": status, "body": body}, "error": None}


def expired() -> dict[str, Any]:
    error = {"code": "batch_expired", "message": "The window of this request has expired."}
    return {"response": None, "error": error}


def echo(body: dict[str, Any]) -> dict[str, Any]:
    """Answer with the last message."""
    return completed(body["messages"][-1]["content"], body["model"])


@dataclass
class ChatBatchesApi:
    """The running server.

    Attributes:
        becomes: returns the result of each request when its batch has ended; None for no result.
        may_end: batches end while it is set.
        files: the lines of each uploaded file.
        batches: each batch as the API describes it.
        refuses: the errors of the validation, by which each batch fails.
        before_answer: called when a batch was created and its id was not sent yet.
        headers: the headers of each request.
        takes_files: False for a server without files and batches.
    """

    url: str = ""
    becomes: Becomes = echo
    may_end: Event = field(default_factory=Event)
    files: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    refuses: list[dict[str, Any]] = field(default_factory=list)
    before_answer: Callable[[], None] | None = None
    headers: list[dict[str, str]] = field(default_factory=list)
    takes_files: bool = True

    @property
    def sizes(self) -> list[int]:
        """The number of requests of each batch."""
        return [len(self.files[batch["input_file_id"]]) for batch in self.batches.values()]

    def upload(self, body: bytes) -> dict[str, Any]:
        assert b'name="purpose"' in body
        assert b"\r\n\r\nbatch\r\n" in body
        name = f"file-{len(self.files) + 1}"
        lines = re.findall(rb"^\{.*\}$", body.replace(b"\r\n", b"\n"), re.MULTILINE)
        self.files[name] = [json.loads(line) for line in lines]
        return {"id": name, "object": "file", "purpose": "batch"}

    def create(self, sent: dict[str, Any]) -> dict[str, Any]:
        name = f"batch_{len(self.batches) + 1}"
        self.batches[name] = {"id": name, "created_at": int(time.time()), **sent}
        if self.before_answer:
            self.before_answer()
        return self.describe(name)

    def describe(self, name: str) -> dict[str, Any]:
        batch = {"status": "in_progress", "output_file_id": None, "error_file_id": None}
        batch |= self.batches[name]
        if self.refuses:
            return batch | {"status": "failed", "errors": {"data": self.refuses}}
        if not self.may_end.is_set():
            return batch
        files = {f"{kind}_file_id": f"{kind}-{name}" for kind in ("output", "error")}
        return batch | {"status": "completed"} | files

    def content(self, file: str) -> bytes:
        """Return a file of results as JSON lines, the last request first."""
        kind, _, name = file.partition("-")
        lines = []
        for item in reversed(self.files[self.batches[name]["input_file_id"]]):
            result = self.becomes(item["body"])
            status = ((result or {}).get("response") or {}).get("status_code", 0)
            if result and (kind == "output") == (status == 200):
                lines.append(json.dumps({"custom_id": item["custom_id"], **result}))
        return "\n".join(lines).encode()

    def answer(self, method: str, path: str, body: bytes) -> Any:
        """Return the body of the answer, or None for 404."""
        *_, before, last = path.partition("?")[0].split("/")
        match method, before, last:
            case "POST", _, "files" if self.takes_files:
                return self.upload(body)
            case "POST", _, "batches":
                return self.create(json.loads(body))
            case "GET", _, "batches":
                data = [self.describe(name) for name in reversed(self.batches)]
                return {"data": data, "has_more": False, "last_id": None}
            case "GET", "batches", name if name in self.batches:
                return self.describe(name)
            case "GET", file, "content":
                return self.content(file)
        return None


def _handler(api: ChatBatchesApi) -> type[Handler]:
    class Batches(Handler):
        def answer(self) -> None:
            api.headers.append({name.lower(): value for name, value in self.headers.items()})
            answer = api.answer(self.command, self.path, self.body())
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.give(404 if answer is None else 200, content)

        get = post = answer

        def body(self) -> bytes:
            """Return the body, which may be sent in chunks."""
            body = self.sent()
            while self.headers.get("transfer-encoding") == "chunked":
                size = int(self.rfile.readline(), 16)
                body += self.rfile.read(size)
                self.rfile.readline()
                if not size:
                    break
            return body

    return Batches


@contextmanager
def chat_batches_api() -> Iterator[ChatBatchesApi]:
    """Serve batches until the block ends; they end at once unless a test clears *may_end*."""
    api = ChatBatchesApi()
    api.may_end.set()
    with loopback(_handler(api)) as address:
        api.url = f"{address}/v1"
        yield api
