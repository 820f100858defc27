"""Anthropic's message batches: requests at half the price, answered within a day."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_ftgate.errors import FtgateError, ProviderRejected, RequestRejected, RetryableError
from pytest_ftgate.providers.anthropic import (
    AnthropicProvider,
    declared_settings,
    open_anthropic,
    translated_errors,
)
from pytest_ftgate.providers.base import NO_BATCHES
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request

#: The length of a custom id: the API allows 64 characters, and 60 of a digest are unique.
_ID_LENGTH = 60
#: Arguments of the SDK that are not part of the body.
_NOT_IN_BODY = ("extra_body", "extra_headers", "extra_query", "timeout")
#: Errors that concern every request of the model.
_PROVIDER_ERRORS = ("authentication_error", "billing_error", "permission_error", "not_found_error")
_REQUEST_ERRORS = ("invalid_request_error", "request_too_large")
_NOT_FOUND = 404
_COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")


class MessageBatches:
    """The batches of one address and key; the methods are described in `base.BatchApi`."""

    max_requests, max_bytes = 100_000, 256_000_000
    one_model = False

    def __init__(self, messages: AnthropicProvider) -> None:
        self._client: Any = messages.client
        self._models: dict[str, AnthropicProvider] = {}

    def _provider(self, request: Request) -> AnthropicProvider:
        """Return the provider that tracks the unsupported settings of the request's model."""
        return self._models.setdefault(request.model, AnthropicProvider(self._client))

    async def prepare(self, requests: Sequence[Request]) -> None:
        """Do nothing: an item depends on its request alone."""

    def batch_item(self, request: Request) -> dict[str, Any]:
        """Return the batch item of *request*: its custom id and its body."""
        payload = self._provider(request).payload(request)
        body = {key: value for key, value in payload.items() if key not in _NOT_IN_BODY}
        custom_id = request.fingerprint[:_ID_LENGTH]
        return {"custom_id": custom_id, "params": body | payload["extra_body"]}

    def unsent(self, request: Request) -> Collection[str]:
        """Return the settings that the item of *request* leaves out."""
        return self._provider(request).unsent(request)

    async def create(
        self,
        requests: list[dict[str, Any]],
        key: str,  # noqa: ARG002 - of the protocol
        version: str | None,
    ) -> str:
        """Send a batch and return the provider's id of it; the API stores no *key* of ours."""
        headers = {"anthropic-version": version} if version else None
        try:
            with translated_errors("anthropic", str(self._client.base_url)):
                batch = await self._client.messages.batches.create(
                    requests=requests, extra_headers=headers
                )
        except ProviderRejected as error:
            if _is_missing(error):
                raise ProviderRejected(NO_BATCHES.format(error)) from error
            raise
        return str(batch.id)

    async def state(self, batch_id: str) -> str:
        """Return ``running``, ``ended``, or ``gone`` if the results no longer exist."""
        try:
            with translated_errors("anthropic", str(self._client.base_url)):
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
        names = {fingerprint[:_ID_LENGTH]: fingerprint for fingerprint in fingerprints}
        with translated_errors("anthropic", str(self._client.base_url)):
            async for line in await self._client.messages.batches.results(batch_id):
                if line.custom_id in names:
                    yield names[line.custom_id], line.result

    async def read(self, result: Any, request: Request, unsent: Collection[str]) -> Reply:
        """Return the reply to *request* in *result*."""
        if result.type == "errored":
            raise self._error(result.error.error, request, unsent)
        if result.type != "succeeded":
            raise RetryableError(str(result.type))
        reply = await self._provider(request).read(result.message, request)
        omitted = tuple(sorted(set(declared_settings(request)).intersection(unsent)))
        return replace(reply, unsent=omitted, processing="batch")

    def _error(self, error: Any, request: Request, unsent: Collection[str]) -> FtgateError:
        message = f"{error.type}: {error.message}"
        if error.type in _PROVIDER_ERRORS:
            return ProviderRejected(message)
        learns = self._provider(request).learn_rejection
        if error.type in _REQUEST_ERRORS and not learns(message, request, unsent):
            return RequestRejected(message)
        return RetryableError(message)

    async def similar(
        self,
        key: str,  # noqa: ARG002 - of the protocol
        requests: int,
        since: float,
        until: float,
    ) -> AsyncIterator[str]:
        """Yield the ids of the batches of *requests* requests; none of them names a *key*."""
        with translated_errors("anthropic", str(self._client.base_url)):
            async for batch in self._client.messages.batches.list(limit=100):
                created = batch.created_at.timestamp()
                if created < since:
                    return
                total = sum(getattr(batch.request_counts, name) for name in _COUNTS)
                if total == requests and created <= until:
                    yield batch.id

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _is_missing(error: ProviderRejected) -> bool:
    return getattr(error.__cause__, "status_code", None) == _NOT_FOUND


def open_anthropic_batches(request: Request, environ: Mapping[str, str]) -> MessageBatches:
    """Open the batches at the address of *request*.

    Raises:
        ConfigurationError: the key is missing.
    """
    return MessageBatches(open_anthropic([request], environ))
