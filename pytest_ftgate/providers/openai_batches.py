"""The batches of OpenAI and of servers with its API: half the price, answered within a day."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import aiohttp

from pytest_ftgate.errors import ProviderRejected, RequestRejected, RetryableError
from pytest_ftgate.providers.api import NO_BATCHES, BatchApi, custom_id
from pytest_ftgate.providers.http import load_json
from pytest_ftgate.providers.openai import (
    OpenAIProvider,
    completion_error,
    open_openai,
    parse_completion,
)
from pytest_ftgate.providers.served import Response
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request

_ENDPOINT = "/v1/chat/completions"
#: The metadata of a batch that holds our own id of it.
_KEY = "ftgate"
#: The most bytes of a file of results.
_MAX_RESULTS = 1 << 30
_ENDED = ("completed", "expired", "cancelled")
_NOT_FOUND, _REDIRECT, _BAD_REQUEST = 404, 300, 400
#: What servers without the routes of files and batches answer.
_NO_ROUTE = (_NOT_FOUND, 405, 501)
#: The number of reasons that a message gives for a refused batch.
_SHOWN = 3


class ChatBatches(BatchApi[OpenAIProvider]):
    """The batches of one address and key.

    A batch is made of a file that is uploaded, and its results are in two files: replies and
    errors. The server deletes all three after 30 days.
    """

    open_model = staticmethod(open_openai)
    max_requests, max_bytes = 50_000, 200_000_000
    one_model = True

    async def prepare(self, requests: Sequence[Request]) -> None:
        """Fetch the facts of each model, on which the way to enforce a choice depends."""
        for model, request in {request.model: request for request in requests}.items():
            await self._provider(request).facts(model)

    def batch_item(self, request: Request) -> dict[str, Any]:
        """Return the line of *request* in the file of a batch."""
        body = self._provider(request).payload(request)
        name = custom_id(request.fingerprint)
        return {"custom_id": name, "method": "POST", "url": _ENDPOINT, "body": body}

    async def create(self, requests: list[dict[str, Any]], key: str) -> str:
        """Upload the items *requests*, send a batch of them, and return its id."""
        lines = "".join(f"{json.dumps(item)}\n" for item in requests).encode()
        form = aiohttp.FormData({"purpose": "batch"})
        form.add_field("file", lines, filename=f"{key}.jsonl", content_type="application/jsonl")
        file = await self._json("POST", "files", data=form)
        body = {"input_file_id": file.get("id"), "endpoint": _ENDPOINT}
        body |= {"completion_window": "24h", "metadata": {_KEY: key}}
        batch = await self._json("POST", "batches", json=body)
        return str(batch["id"])

    async def state(self, batch_id: str) -> str:
        """Return ``running``, ``ended`` or ``gone``."""
        batch = await self._find(batch_id)
        if batch is None:
            return "gone"
        if batch.get("status") == "failed":
            raise RequestRejected(f"batch {batch_id} was refused: {_reasons(batch)}")
        if batch.get("status") not in _ENDED:
            return "running"
        return "ended" if _files(batch) else "gone"

    async def results(
        self, batch_id: str, fingerprints: Iterable[str]
    ) -> AsyncIterator[tuple[str, Any]]:
        """Yield the fingerprint and the line of each result, the replies before the errors."""
        names = {custom_id(fingerprint): fingerprint for fingerprint in fingerprints}
        batch = await self._find(batch_id)
        for file in _files(batch or {}):
            body = await self._body("GET", f"files/{file}/content", limit=_MAX_RESULTS)
            for line in body.splitlines():
                result = _object(line) if line.strip() else {}
                if (name := str(result.get("custom_id"))) in names:
                    yield names[name], result

    async def read(self, result: Any, request: Request, unsent: Collection[str]) -> Reply:
        """Return the reply to *request* in the line *result*."""
        response, error = result.get("response") or {}, result.get("error") or {}
        status, body = response.get("status_code"), json.dumps(response.get("body")).encode()
        if error or not isinstance(status, int):
            reasons = [error.get("code") or "no response", error.get("message")]
            raise RetryableError(": ".join(map(str, filter(None, reasons))))
        if status >= _BAD_REQUEST:
            failed = Response(status, body, {})
            error = completion_error(self._first.server.url, failed, has_answered=True)
            raise self._relearned(error, request, unsent)
        name = response.get("request_id")
        headers = {"x-request-id": str(name)} if name else {}
        reply = parse_completion(body, headers)
        provider = self._provider(request)
        facts = await provider.facts(request.model)
        return provider.finished(replace(reply, facts=facts, processing="batch"), request, unsent)

    async def similar(
        self,
        key: str,
        requests: int,  # noqa: ARG002 - of the protocol
        since: float,
        until: float,  # noqa: ARG002 - of the protocol
    ) -> AsyncIterator[str]:
        """Yield the ids of the batches that have *key* in their metadata."""
        after = ""
        while True:
            page = await self._json("GET", f"batches?limit=100{after}")
            for batch in page.get("data", ()):
                if batch.get("created_at", 0) < since:
                    return
                if (batch.get("metadata") or {}).get(_KEY) == key:
                    yield str(batch["id"])
            if not page.get("has_more") or not page.get("last_id"):
                return
            after = f"&after={page['last_id']}"

    async def _find(self, batch_id: str) -> dict[str, Any] | None:
        response = await self._first.server.send("GET", f"batches/{batch_id}")
        if response.status == _NOT_FOUND:
            return None
        if response.status >= _REDIRECT:
            raise self._first.error(response)
        return _object(response.body)

    async def _json(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        return _object(await self._body(method, path, **content))

    async def _body(self, method: str, path: str, **content: Any) -> bytes:
        response = await self._first.server.send(method, path, **content)
        if method == "POST" and response.status in _NO_ROUTE:
            reason = f"it answers {response.status} to POST /{path}"
            raise ProviderRejected(NO_BATCHES.format(reason))
        if response.status >= _REDIRECT:
            raise self._first.error(response)
        return response.body


def _object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in *body*.

    Raises:
        RetryableError: there is none.
    """
    try:
        content = load_json(body)
    except ValueError as error:
        raise RetryableError(f"the body is cut off or no JSON: {error}") from error
    if not isinstance(content, dict):
        raise RetryableError("the body is no JSON object")
    return content


def _files(batch: Mapping[str, Any]) -> list[str]:
    """Return the ids of the files with the results of *batch*."""
    return [str(batch[key]) for key in ("output_file_id", "error_file_id") if batch.get(key)]


def _reasons(batch: Mapping[str, Any]) -> str:
    rows = (batch.get("errors") or {}).get("data") or [{"message": "no reason is given"}]
    reasons = dict.fromkeys(str(row.get("message") or row.get("code")) for row in rows)
    return "; ".join([*reasons][:_SHOWN])


open_openai_batches = ChatBatches
