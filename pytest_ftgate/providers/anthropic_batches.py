"""Anthropic's message batches: requests at half the price, answered within a day."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from pytest_ftgate.errors import ProviderRejected, ReplyError, RequestRejected, RetryableError
from pytest_ftgate.providers.anthropic import AnthropicProvider, open_anthropic, translated_errors
from pytest_ftgate.providers.api import NO_BATCHES, BatchApi, custom_id
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request

#: Arguments of the SDK that are not part of the body.
_NOT_IN_BODY = ("extra_body", "extra_headers", "extra_query", "timeout")
#: Errors that concern every request of the model.
_PROVIDER_ERRORS = ("authentication_error", "billing_error", "permission_error", "not_found_error")
_REQUEST_ERRORS = ("invalid_request_error", "request_too_large")
_NOT_FOUND = 404
_COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")


class MessageBatches(BatchApi[AnthropicProvider]):
    """The batches of one address and key."""

    open_model = staticmethod(open_anthropic)
    max_requests, max_bytes = 100_000, 256_000_000
    one_model = False

    def __init__(self, request: Request, environ: Mapping[str, str]) -> None:
        super().__init__(request, environ)
        self._client: Any = self._first.client
        self._version = request.api_version

    def batch_item(self, request: Request) -> dict[str, Any]:
        """Return the batch item of *request*: its custom id and its body."""
        payload = self._provider(request).payload(request)
        body = {key: value for key, value in payload.items() if key not in _NOT_IN_BODY}
        return {"custom_id": custom_id(request.fingerprint), "params": body | payload["extra_body"]}

    async def create(
        self,
        requests: list[dict[str, Any]],
        key: str,  # noqa: ARG002 - of the protocol
    ) -> str:
        """Send a batch and return the provider's id of it; the API stores no *key* of ours."""
        headers = {"anthropic-version": self._version} if self._version else None
        try:
            with self._translated_errors():
                batch = await self._client.messages.batches.create(
                    requests=requests, extra_headers=headers
                )
        except ProviderRejected as error:
            if _is_missing(error):
                raise ProviderRejected(NO_BATCHES.format(error)) from error
            raise
        return str(batch.id)

    def _translated_errors(self) -> AbstractContextManager[None]:
        return translated_errors("anthropic", str(self._client.base_url))

    async def state(self, batch_id: str) -> str:
        """Return ``running``, ``ended``, or ``gone`` if the results no longer exist."""
        try:
            with self._translated_errors():
                batch = await self._client.messages.batches.retrieve(batch_id)
        except ProviderRejected as error:
            if _is_missing(error):
                return "gone"
            raise
        if batch.processing_status != "ended":
            return "running"
        return "ended" if batch.results_url else "gone"

    async def results(
        self, batch_id: str, fingerprints: Iterable[str]
    ) -> AsyncIterator[tuple[str, Any]]:
        """Yield the fingerprint and the result of each request, for those of *fingerprints*."""
        names = {custom_id(fingerprint): fingerprint for fingerprint in fingerprints}
        with self._translated_errors():
            async for line in await self._client.messages.batches.results(batch_id):
                if line.custom_id in names:
                    yield names[line.custom_id], line.result

    async def read(self, result: Any, request: Request, unsent: Collection[str]) -> Reply:
        """Return the reply to *request* in *result*."""
        if result.type == "errored":
            raise self._error(result.error.error, request, unsent)
        if result.type != "succeeded":
            raise RetryableError(str(result.type))
        provider = self._provider(request)
        reply = replace(await provider.read(result.message, request), processing="batch")
        return provider.finished(reply, request, unsent)

    def _error(self, error: Any, request: Request, unsent: Collection[str]) -> ReplyError:
        message = f"{error.type}: {error.message}"
        if error.type in _PROVIDER_ERRORS:
            return ProviderRejected(message)
        if error.type in _REQUEST_ERRORS:
            return self._relearned(RequestRejected(message), request, unsent)
        return RetryableError(message)

    async def similar(
        self,
        key: str,  # noqa: ARG002 - of the protocol
        requests: int,
        since: float,
        until: float,
    ) -> AsyncIterator[str]:
        """Yield the ids of the batches of *requests* requests; none of them names a *key*."""
        with self._translated_errors():
            async for batch in self._client.messages.batches.list(limit=100):
                created = batch.created_at.timestamp()
                if created < since:
                    return
                total = sum(getattr(batch.request_counts, name) for name in _COUNTS)
                if total == requests and created <= until:
                    yield batch.id


def _is_missing(error: ProviderRejected) -> bool:
    return getattr(error.__cause__, "status_code", None) == _NOT_FOUND


open_anthropic_batches = MessageBatches
