"""The batches of the Messages API on loopback: sent, listed, ended by a test, read in any order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event
from typing import Any

from ftgate_testing.loopback import Handler, loopback

#: Maps the name and the params of a request to its result.
Becomes = Callable[[str, dict[str, Any]], dict[str, Any]]


def succeeded(text: str = "ok", model: str = "claude-x", stop: str = "end_turn") -> dict[str, Any]:
    usage = {"input_tokens": 9, "output_tokens": 2}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model}
    message |= {"content": [{"type": "text", "text": text}], "usage": usage}
    return {"type": "succeeded", "message": message | {"stop_reason": stop, "stop_sequence": None}}


def errored(kind: str, message: str = "no") -> dict[str, Any]:
    error = {"type": "error", "error": {"type": kind, "message": message}}
    return {"type": "errored", "error": error}


def echo(name: str, params: dict[str, Any]) -> dict[str, Any]:
    """Answer with the last message."""
    return succeeded(params["messages"][-1]["content"], params["model"])


@dataclass
class BatchesApi:
    """The running server.

    Attributes:
        becomes: returns the result of each request when its batch has ended.
        may_end: batches end while it is set.
        created: the requests of each batch, by its name.
        seen: method, path and headers of each HTTP request.
        before_answer: called when a batch was created and its name was not sent yet.
        fails: the status codes of the next responses.
    """

    url: str = ""
    becomes: Becomes = echo
    may_end: Event = field(default_factory=Event)
    created: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    times: dict[str, datetime] = field(default_factory=dict)
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    before_answer: Callable[[], None] | None = None
    fails: list[int] = field(default_factory=list)

    def paths(self, method: str) -> list[str]:
        return [path for how, path, _ in self.seen if how == method]

    def create(self, requests: list[dict[str, Any]]) -> dict[str, Any]:
        name = f"msgbatch_{len(self.created) + 1}"
        self.created[name], self.times[name] = requests, datetime.now(UTC)
        if self.before_answer:
            self.before_answer()
        return self.describe(name)

    def describe(self, name: str) -> dict[str, Any]:
        """Return a batch as the API describes it: without counts before its end."""
        ended, requests = self.may_end.is_set(), len(self.created[name])
        counts = dict.fromkeys(("canceled", "errored", "expired"), 0)
        counts |= {"processing": 0 if ended else requests, "succeeded": requests if ended else 0}
        at = self.times[name].isoformat()
        url = f"{self.url}/v1/messages/batches/{name}/results"
        batch = {"id": name, "type": "message_batch", "request_counts": counts}
        batch |= {"created_at": at, "expires_at": at, "ended_at": at if ended else None}
        batch |= {"archived_at": None, "cancel_initiated_at": None}
        batch |= {"processing_status": "ended" if ended else "in_progress"}
        return batch | {"results_url": url if ended else None}

    def results(self, name: str) -> bytes:
        """Return the results as JSON lines, the last request first."""
        rows = [
            {
                "custom_id": item["custom_id"],
                "result": self.becomes(item["custom_id"], item["params"]),
            }
            for item in reversed(self.created[name])
        ]
        return "".join(f"{json.dumps(row)}\n" for row in rows).encode()

    def page(self, path: str) -> tuple[int, bytes]:
        """Answer a GET."""
        *_, before, last = ["", *path.partition("?")[0].strip("/").split("/")]
        if last == "batches":
            names = list(reversed(self.created))
            page = {"data": [self.describe(name) for name in names], "has_more": False}
            return 200, json.dumps(page | {"first_id": None, "last_id": None}).encode()
        if last == "results" and before in self.created:
            return 200, self.results(before)
        if last in self.created:
            return 200, json.dumps(self.describe(last)).encode()
        error = {"type": "error", "error": {"type": "not_found_error", "message": "no such"}}
        return 404, json.dumps(error).encode()


def _handler(api: BatchesApi) -> type[Handler]:
    class Batches(Handler):
        def post(self) -> None:
            sent = json.loads(self.sent())
            self.note("POST")
            if api.fails:
                self.give(api.fails.pop(0), b'{"type": "error", "error": {"type": "x"}}')
                return
            self.give_json(200, api.create(sent["requests"]))

        def get(self) -> None:
            self.note("GET")
            self.give(*api.page(self.path))

        def note(self, method: str) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            api.seen.append((method, self.path, headers))

    return Batches


@contextmanager
def batches_api() -> Iterator[BatchesApi]:
    """Serve batches until the block ends; batches end at once unless a test clears *may_end*."""
    api = BatchesApi()
    api.may_end.set()
    with loopback(_handler(api)) as api.url:
        yield api
