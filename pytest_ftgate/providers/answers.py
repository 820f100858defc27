"""Replies that end where their answer ends, for providers that generate them token by token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pytest_ftgate.requests.reply import split_thoughts, template_thinks
from pytest_ftgate.requests.request import Request
from pytest_ftgate.skills.answers import code_end, sentence_end

#: Returns where the answer of a text ends, or None if the text may go on with it.
End = Callable[[str], int | None]
_ENDS: Mapping[str, End] = {"sentence": sentence_end, "code": code_end}


def obeyed(request: Request, template: str) -> Request:
    """Return *request*; without the end of its answer if the chat *template* is that of thoughts.

    A thought stands before the answer then, or the prompt has opened one.
    """
    is_free = request.ends_at and template_thinks(template, request.thoughts)
    return replace(request, ends_at="") if is_free else request


def answer_end(request: Request) -> End | None:
    """Return what finds the end of the reply to *request*, or None if the model alone ends it."""
    end = _ENDS.get(request.ends_at)
    if end is None:
        return None
    # No text that begins with a thought is ended.
    marks = request.thoughts
    return lambda text: end(text) if split_thoughts(text, marks).answer is text else None


class StreamedReply:
    """The reply to a streamed request, put together from its chunks until its answer ends."""

    def __init__(self, end: End) -> None:
        self._end = end
        self._message = {"content": "", "reasoning_content": ""}
        self._finish, self._timings = "stop", dict[str, int]()
        self._error: Any = None

    def add(self, chunk: Mapping[str, Any]) -> bool:
        """Add a chunk of the engine; return True if no more are wanted."""
        self._error = chunk.get("error", self._error)
        self._timings = chunk.get("timings", self._timings)
        for choice in chunk.get("choices", ()):
            self._finish = choice["finish_reason"] or self._finish
            for name in self._message:
                self._message[name] += choice["delta"].get(name) or ""
        end = None if self._message["reasoning_content"] else self._end(self._message["content"])
        if end is not None:
            self._message["content"] = self._message["content"][:end]
        return end is not None

    def completion(self) -> dict[str, Any]:
        """Return the reply in the form of one that was not streamed."""
        if self._error is not None:
            return {"error": self._error}
        read = sum(self._timings.get(name, 0) for name in ("cache_n", "prompt_n"))
        usage = {
            "prompt_tokens": read,
            "completion_tokens": self._timings.get("predicted_n", 0),
        }
        choice = {"message": self._message, "finish_reason": self._finish}
        return {"choices": [choice], "usage": usage}
