"""Message batches: the same requests at half the price, answered within a day."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pytest_ftgate.errors import Denied, FtgateError, Refused, Transient
from pytest_ftgate.providers.anthropic import Messages, declared, failing, open_provider
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Call

__all__ = ["Listed", "MessageBatches", "custom_id", "open_batches"]

#: A batch takes names of at most 64 characters; these are enough of a digest to tell calls apart.
_ID = 60
#: Arguments of the SDK that are no part of a request's body.
_NO_BODY = ("extra_body", "extra_headers", "extra_query", "timeout")
#: Errors that each further request of the model will meet.
_HOPELESS = ("authentication_error", "billing_error", "permission_error", "not_found_error")
_WRONG = ("invalid_request_error", "request_too_large")
_NOT_FOUND = 404
_COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")


@dataclass(frozen=True, slots=True)
class Listed:
    """One batch as the provider lists it: its name, seconds since the epoch, how many requests."""

    id: str
    at: float
    requests: int


def custom_id(fingerprint: str) -> str:
    """Return the name of a call's request within a batch."""
    return fingerprint[:_ID]


class MessageBatches:
    """The batches of one address and key; their requests may ask several models."""

    def __init__(self, messages: Messages) -> None:
        self._client: Any = messages.client
        self._models: dict[str, Messages] = {}

    def _of(self, call: Call) -> Messages:
        """Return what knows the settings that the call's model will not take."""
        return self._models.setdefault(call.model, Messages(self._client))

    def request(self, call: Call) -> dict[str, Any]:
        """Return the request of *call*: the body of a plain one, under a name."""
        sent = self._of(call).request(call)
        body = {key: value for key, value in sent.items() if key not in _NO_BODY}
        return {"custom_id": custom_id(call.fingerprint), "params": body | sent["extra_body"]}

    def names(self, fingerprints: Iterable[str]) -> dict[str, str]:
        """Return *fingerprints* by the names of their requests."""
        return {custom_id(one): one for one in fingerprints}

    def unsent(self, calls: Iterable[Call]) -> dict[str, list[str]]:
        """Return the settings that the requests of *calls* leave out, by model."""
        found: dict[str, set[str]] = {}
        for call in calls:
            found.setdefault(call.model, set()).update(self._of(call).unsent(call))
        return {model: sorted(names) for model, names in found.items() if names}

    async def create(self, requests: list[dict[str, Any]], version: str | None) -> str:
        """Send a batch, and return the provider's name for it.

        Args:
            requests: what it holds.
            version: the version of the API to ask for, where not the SDK's own.

        Raises:
            Transient: it may have been created, or may be if it is sent again.
            Refused: the batch as a whole is wrong.
            Denied: no batch can be sent there.
        """
        headers = {"anthropic-version": version} if version else None
        try:
            with failing("anthropic", str(self._client.base_url)):
                made = await self._client.messages.batches.create(
                    requests=requests, extra_headers=headers
                )
        except Denied as error:
            if _is_missing(error):
                told = f"this address takes no batches: {error}; remove batch"
                raise Denied(told) from error
            raise
        return str(made.id)

    async def state(self, name: str) -> str:
        """Return ``running``, ``ended``, or ``gone`` where its results are not there any more."""
        try:
            with failing("anthropic", str(self._client.base_url)):
                found = await self._client.messages.batches.retrieve(name)
        except Denied as error:
            if _is_missing(error):
                return "gone"
            raise
        if found.processing_status != "ended":
            return "running"
        return "ended" if found.results_url else "gone"

    async def results(self, name: str) -> AsyncIterator[tuple[str, Any]]:
        """Yield the name of each request and what became of it, as they come."""
        with failing("anthropic", str(self._client.base_url)):
            async for line in await self._client.messages.batches.results(name):
                yield line.custom_id, line.result

    async def read(self, result: Any, call: Call, unsent: Collection[str]) -> Reply:
        """Return the reply that *result* brings to *call*.

        Args:
            result: what became of its request.
            call: what was asked.
            unsent: settings that the requests of its model were sent without.

        Raises:
            Transient: it may bring one in another batch.
            Refused: the request is wrong.
            Denied: no request of this model can succeed.
        """
        if result.type == "errored":
            raise self._error(result.error.error, call, unsent)
        if result.type != "succeeded":
            raise Transient(str(result.type))
        reply = await self._of(call).read(result.message, call)
        left_out = tuple(sorted(set(declared(call)).intersection(unsent)))
        return replace(reply, unsent=left_out, processing="batch")

    def _error(self, error: Any, call: Call, unsent: Collection[str]) -> FtgateError:
        said = f"{error.type}: {error.message}"
        if error.type in _HOPELESS:
            return Denied(said)
        if error.type in _WRONG and not self._of(call).learns(said, call, unsent):
            return Refused(said)
        return Transient(said)

    async def recent(self, since: float) -> AsyncIterator[Listed]:
        """Yield the batches that were created after *since*, the newest first."""
        with failing("anthropic", str(self._client.base_url)):
            async for one in self._client.messages.batches.list(limit=100):
                at = one.created_at.timestamp()
                if at < since:
                    return
                counts = one.request_counts
                yield Listed(one.id, at, sum(getattr(counts, name) for name in _COUNTS))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _is_missing(error: Denied) -> bool:
    return getattr(error.__cause__, "status_code", None) == _NOT_FOUND


def open_batches(call: Call, environ: Mapping[str, str]) -> MessageBatches:
    """Open the batches of the address and key that *call* names.

    Raises:
        Unavailable: the key is missing.
    """
    return MessageBatches(open_provider([call], environ))
