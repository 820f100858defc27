"""A fully rendered request, with its fingerprint and the conversation so far."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pytest_ftgate.readers.text import replace_in_fields
from pytest_ftgate.suite.model import Case, ThoughtMarks, Turn, canonical_json, digest
from pytest_ftgate.suite.prices import Tariff
from pytest_ftgate.suite.providers import provider_spec

#: Shorter values may be part of ordinary words.
SHORTEST_SECRET = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A LoRA adapter that is applied to a model's weights.

    Attributes:
        path: a file, or the folder that a trainer writes.
        scale: the factor of its changes.
        sha256: a digest of its content.
    """

    path: Path
    scale: float
    sha256: str

    @property
    def changed(self) -> str:
        """What to do if the files do not have the digest any more."""
        return f"adapter {self.path.name} has changed since the run began; start it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of a document that was retrieved for a case, with its source."""

    source: str
    text: str

    def __post_init__(self) -> None:
        replace_in_fields(self, "source", "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may call.

    Attributes:
        parameters: the JSON Schema of its arguments, an object.
        reference: the function, as ``module:function``.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One tool call of a model.

    Attributes:
        arguments: the arguments as the model wrote them; text if they are not a JSON object.
        id: the provider's id of the tool call.
        result: the tool's return value or error message; None before the tool runs.
        failed: True if *result* is an error message.
    """

    name: str
    arguments: Any
    id: str = ""
    result: str | None = None
    failed: bool = False

    def __post_init__(self) -> None:
        replace_in_fields(self, "name", "arguments", "id", "result")

    @property
    def arguments_text(self) -> str:
        """The arguments as text: as JSON, or unchanged if they are text already."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True, slots=True)
class Step:
    """One turn in which a model called tools: its text and its tool calls.

    Attributes:
        blocks: the turn in the provider's own format, if the provider needs more of it in the
            next request than text and tool calls, such as signed thinking.
    """

    text: str
    calls: tuple[ToolCall, ...]
    blocks: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        replace_in_fields(self, "text", "blocks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One fully rendered request.

    Attributes:
        fingerprint: the sha256 of everything that can change the reply, and of nothing else.
        only_for: the test that alone may use the reply, which is not stored; "" if every gate may.
        cached_as: the fingerprint of the request without *only_for*, if the test may use a reply to
            that one as well; else "".
        model: the model's name, or the path of its weights.
        constraint: the format that the provider enforces on the reply, or None.
        tools: the functions that the model may call.
        max_turns: the largest number of requests in one tool loop.
        steps: the earlier turns with tool calls in the same tool loop.
        passages: the passages retrieved for the case; *messages* contains them already.
        case: the case itself, for providers that answer without a prompt.
        training_data: the file that a classifier is trained on.
        folder: the folder that relative names start from.
        hidden_path: the path of *base_url* that no report shows, since the environment holds it.
        repeat: the index of this reply among several replies to the same messages, from 0.
        served_model: the server's name for the model, if it differs from *model*.
        runtime: settings of the inference engine that do not change the reply.
        extra: what is added to the body of the request, for a server with settings of its own.
        options: settings that are specific to the provider.
        batch: True if the request is sent in a batch, at half the price.
        tariff: the prices of the model.
        thoughts: the marks around a thought in the reply; None for the known ones. They change how
            a reply is read, and not the reply.
        ends_at: where the provider ends the reply: after the ``sentence`` that answers, after the
            first block of ``code``, or "" where the model ends it.
    """

    fingerprint: str
    provider: str
    model: str
    messages: tuple[Turn, ...]
    max_tokens: int
    sampling: Mapping[str, Any]
    constraint: Mapping[str, Any] | None = None
    tools: tuple[Tool, ...] = ()
    max_turns: int = 1
    steps: tuple[Step, ...] = ()
    passages: tuple[Passage, ...] = ()
    adapter: Adapter | None = None
    base_url: str | None = None
    hidden_path: str = ""
    api_key_env: str | None = None
    api_version: str | None = None
    case: Case | None = None
    function: str | None = None
    replies: Path | None = None
    training_data: Path | None = None
    folder: Path = Path()
    repeat: int = 0
    served_model: str | None = None
    runtime: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    batch: bool = False
    tariff: Tariff = field(default_factory=Tariff)
    thoughts: ThoughtMarks | None = None
    ends_at: str = ""
    only_for: str = ""
    cached_as: str = ""

    @property
    def key_names(self) -> tuple[str | None, ...]:
        """The variables of the environment whose values are secret, and that its suite names."""
        is_program = provider_spec(self.provider).starts_programs
        return (self.api_key_env, *(self.options["keys"] if is_program else ()))

    @property
    def shown_url(self) -> str:
        """The base URL as reports and messages show it; "" if nothing names one."""
        return without_path(self.base_url or "", self)

    @property
    def is_last_turn(self) -> bool:
        """Whether the tool loop has reached its last turn, in which the model must answer."""
        return bool(self.steps) and len(self.steps) + 1 >= self.max_turns

    @property
    def cache_key(self) -> str:
        """The fingerprint under which the cache may have the reply; "" if it must not be used."""
        return self.cached_as if self.only_for else self.fingerprint

    def repeated(self, salt: int | str) -> Request:
        """Return the same request with a new fingerprint, which *salt* determines."""
        fingerprint = digest([self.fingerprint, salt])
        cached_as = self.cached_as and digest([self.cached_as, salt])
        return replace(self, repeat=self.repeat + 1, fingerprint=fingerprint, cached_as=cached_as)


def without_path(text: str, request: Request) -> str:
    """Return *text* without the path of an address that the environment holds."""
    path = request.hidden_path
    if not path:
        return text
    host = urlsplit(request.base_url or "").netloc
    text = text.replace(f"{host}{path}", f"{host}/…")
    return text.replace(path, "/…") if len(path) >= SHORTEST_SECRET else text


@dataclass(frozen=True, slots=True)
class CaseRequest:
    """One case of one variant, and the request that answers it; cases may share a request."""

    case: Case
    repeat: int
    request: Request

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the request."""
        return self.request.fingerprint


def distinct_requests(case_requests: Iterable[CaseRequest]) -> tuple[Request, ...]:
    """Return each request of *case_requests* once, in order of first use."""
    requests = (case_request.request for case_request in case_requests)
    return tuple({request.fingerprint: request for request in requests}.values())


def group_by_adapter(requests: Iterable[Request], after: Sequence[Request] = ()) -> list[Request]:
    """Return *requests* sorted so that those with one adapter follow each other.

    Changing the adapter of loaded weights takes time. The groups are in order of first use, but the
    group that goes on with the last of *after* comes first.
    """
    groups: dict[object, list[Request]] = {weights_of(request): [] for request in after[-1:]}
    for request in requests:
        groups.setdefault(weights_of(request), []).append(request)
    return [*chain.from_iterable(groups.values())]


def weights_of(request: Request) -> object:
    """Return what decides which weights answer *request*: the model and its adapters."""
    # llama.cpp's server takes the adapters of each request here.
    adapters = request.extra.get("lora")
    adapters = canonical_json(adapters) if adapters else ""
    return (request.provider, request.model, request.adapter, adapters)
