"""Models behind an API: the settings that a server rejects, replies by a tool, and batches."""

from __future__ import annotations

import asyncio
import re
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any, Generic, TypeVar

from pytest_ftgate.errors import ReplyError, RequestRejected, RetryableError
from pytest_ftgate.providers.base import PACKAGE, Provider
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request, Step
from pytest_ftgate.suite.providers import provider_spec

#: Words of a server that supports the setting and rejects its value, which the author must fix.
_BAD_VALUE = re.compile(
    r"range|must be|at (least|most)|less than|greater|between|maximum|minimum|may only|"
    r"invalid (value|schema)|cannot both|only one|not both",
    re.IGNORECASE,
)
#: Words of a server that does not support a setting. Other words about several settings may mean
#: their combination.
_UNSUPPORTED = re.compile(
    r"(not|n't) (supported|permitted|allowed|accepted)|unsupported|unknown|unrecognized|extra",
    re.IGNORECASE,
)


class LearningProvider(Provider):
    """A client of one model on one server, which leaves out the settings that the server rejects.

    A declared setting is sent until an error message of the server names it. Each reply records
    the settings that were left out, so a reply is never mistaken for one at temperature 0.

    Attributes:
        schema_setting: the setting that enforces a schema.
        api_names: the names of settings in the API, where they differ.
    """

    schema_setting: str
    api_names: Mapping[str, str]

    def __init__(self) -> None:
        self._rejected: set[str] = set()
        self._facts: asyncio.Task[Mapping[str, str]] | None = None

    def facts(self, model: str) -> asyncio.Task[Mapping[str, str]]:
        """Start the one request for the facts of the model; it never fails."""
        if self._facts is None:
            self._facts = asyncio.create_task(self._fetch_facts(model))
        return self._facts

    @abstractmethod
    async def _fetch_facts(self, model: str) -> Mapping[str, str]:
        """Return the facts of the model; {} if none are found."""

    @abstractmethod
    def payload(self, request: Request) -> dict[str, Any]:
        """Return the content of *request*, without the settings rejected so far."""

    @abstractmethod
    async def _post(self, payload: dict[str, Any], request: Request) -> Reply:
        """Send *payload* once."""

    async def _reply_to(self, request: Request, **changes: Any) -> Reply:
        """Send *request*, with *changes* of its payload, until the server rejects no setting."""
        while True:
            unsent, start = self.unsent(request), time.perf_counter()
            try:
                reply = await self._post({**self.payload(request), **changes}, request)
            except RequestRejected as error:
                if not self.learn_rejection(str(error), request, unsent):
                    raise
                continue
            seconds = time.perf_counter() - start
            return self.finished(replace(reply, seconds=seconds), request, unsent)

    def finished(self, reply: Reply, request: Request, unsent: Collection[str]) -> Reply:
        """Return *reply* with the declared settings in *unsent*."""
        names = tuple(sorted(self._declared(request).intersection(unsent)))
        return replace(reply, unsent=names) if names != reply.unsent else reply

    def _declared(self, request: Request) -> set[str]:
        """Return the settings of *request* that a server may reject."""
        return {*request.sampling, *([self.schema_setting] if request.constraint else [])}

    def supports(self, setting: str) -> bool:
        """Return True unless the server has rejected *setting*."""
        return setting not in self._rejected

    def supported(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return *settings* without the rejected ones."""
        return {key: value for key, value in settings.items() if self.supports(key)}

    def unsent(self, request: Request) -> Collection[str]:
        """Return the settings that the payload of *request* leaves out."""
        return self._declared(request) & self._rejected

    def learn_rejection(self, message: str, request: Request, unsent: Collection[str]) -> bool:
        """Record the settings that *message* rejects; return True if there are any.

        *unsent* are those that the rejected payload of *request* left out. What was rejected while
        it was in flight is learned again.
        """
        names = (key for key, api_name in self.api_names.items() if api_name in message)
        text = f"{message} ({', '.join(names)})"
        sent = self._declared(request).difference(unsent)
        named = {key for key in sent if re.search(rf"\b{re.escape(key)}\b", text)}
        is_ambiguous = len(named) > 1 and not _UNSUPPORTED.search(text)
        if not named or _BAD_VALUE.search(text) or is_ambiguous:
            return False
        self._rejected |= named
        return True


#: The tool through which a model gives its reply if it accepts no schema for replies.
REPLY_TOOL = "give_the_reply"


#: The message about missing credentials of AWS; what its SDK says is filled in.
NO_AWS_CREDENTIALS = (
    "no credentials: set AWS_REGION, and AWS_BEARER_TOKEN_BEDROCK or credentials that boto3 finds, "
    "or evaluate what is recorded with --ftgate-replies=recorded ({})"
)


def turn_reply(text: str, step: Step | None, stop: str, **details: Any) -> Reply:
    """Return one turn as a reply, whose text is what the reply tool was given, if it was called."""
    given = [call for call in step.calls if call.name == REPLY_TOOL] if step else []
    if given:
        text, step = given[0].arguments_text, None
        stop = "end" if stop == "tool" else stop
    return Reply(text=text, stop=stop, steps=(step,) if step else (), **details)


#: The message about a server without batches; the reason is filled in.
NO_BATCHES = "this address takes no batches: {}; remove batch: true or --ftgate-batch"
#: The length of a custom id: the APIs allow 64 characters, and 60 of a digest are unique.
_ID_LENGTH = 60
_Model = TypeVar("_Model", bound=LearningProvider)


class BatchApi(Generic[_Model]):
    """The batches of one address and key.

    *request* is one of the requests.

    Attributes:
        open_model: opens the provider of one model there.
        max_requests: the most requests of one batch.
        max_bytes: the most bytes of one batch.
        one_model: True if the requests of a batch must all have the same model.
    """

    open_model: Callable[[Sequence[Request], Mapping[str, str]], _Model]
    max_requests: int
    max_bytes: int
    one_model: bool

    def __init__(self, request: Request, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._models: dict[str, _Model] = {}
        self._first = self._provider(request)

    def _provider(self, request: Request) -> _Model:
        """Return the provider that tracks the rejected settings of the request's model."""
        if request.model not in self._models:
            self._models[request.model] = self.open_model([request], self._environ)
        return self._models[request.model]

    async def prepare(self, requests: Sequence[Request]) -> None:
        """Learn what the items of *requests* depend on."""

    def batch_item(self, request: Request) -> dict[str, Any]:
        """Return the batch item of *request*: its custom id and its body."""
        raise NotImplementedError

    def unsent(self, request: Request) -> Collection[str]:
        """Return the settings that the item of *request* leaves out."""
        return self._provider(request).unsent(request)

    async def create(self, requests: list[dict[str, Any]], key: str) -> str:
        """Send a batch of the items *requests* and return the provider's id of it.

        *key* is our own id of the batch.

        Raises:
            RetryableError: the batch may exist, or may succeed if it is sent again.
            RequestRejected: the batch as a whole is wrong.
            ProviderRejected: the address accepts no batches.
        """
        raise NotImplementedError

    async def state(self, batch_id: str) -> str:
        """Return ``running``, ``ended``, or ``gone`` if the results no longer exist.

        Raises:
            RequestRejected: the batch as a whole was refused, and has no results.
        """
        raise NotImplementedError

    def results(self, batch_id: str, fingerprints: Iterable[str]) -> AsyncIterator[tuple[str, Any]]:
        """Yield the fingerprint and the result of each request, for those of *fingerprints*."""
        raise NotImplementedError

    async def read(self, result: Any, request: Request, unsent: Collection[str]) -> Reply:
        """Return the reply to *request* in *result*.

        *unsent* are the settings that the items for its model left out.

        Raises:
            RetryableError: the request may succeed in another batch.
            RequestRejected: the request is wrong.
            ProviderRejected: no request of this model can succeed.
        """
        raise NotImplementedError

    def _relearned(
        self, error: ReplyError, request: Request, unsent: Collection[str]
    ) -> ReplyError:
        """Return *error*, or one that sends *request* again without the settings it names."""
        learns = self._provider(request).learn_rejection
        if isinstance(error, RequestRejected) and learns(str(error), request, unsent):
            return RetryableError(str(error))
        return error

    def similar(self, key: str, requests: int, since: float, until: float) -> AsyncIterator[str]:
        """Yield the ids of the batches that may be ours with *key*, newest first.

        They have *requests* requests, and were created from *since* to *until*, in seconds since
        the epoch.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Close the connections."""
        for provider in self._models.values():
            await provider.close()


def custom_id(fingerprint: str) -> str:
    """Return the id by which a batch names the request with *fingerprint*."""
    return fingerprint[:_ID_LENGTH]


def open_batch_api(request: Request, environ: Mapping[str, str]) -> BatchApi[Any]:
    """Open the API that takes the batches of the provider of *request*.

    Raises:
        ConfigurationError: the key is missing.
    """
    name = provider_spec(request.provider).batch_module
    module = import_module(f"{PACKAGE}.{name}")
    opened: BatchApi[Any] = getattr(module, f"open_{name}")(request, environ)
    return opened
