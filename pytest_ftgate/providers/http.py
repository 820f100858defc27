"""HTTP errors of providers: which are retryable; and what is read of a body."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pytest_ftgate.errors import ProviderRejected, ReplyError, RequestRejected, RetryableError

#: Statuses that every request of the variant gets: no key, no money, no access, no such model.
_PROVIDER_STATUSES = (401, 402, 403, 404)
_BAD_REQUEST, _FORBIDDEN = 400, 403
#: Retryable statuses below 500: timeouts, conflicts and rate limits.
_RETRYABLE_STATUSES = (408, 409, 429)
_SERVER_ERROR, _UNAVAILABLE = 500, 503
#: What a server says while it loads its model.
_LOADING = re.compile(r"\bloading\b", re.IGNORECASE)
#: Statuses of rate limits and overload.
_LIMIT_STATUSES = (429, 503, 529)
#: Statuses of spending limits and daily limits, which outlast a run.
_SPENDING_STATUSES = (400, 429)
_SPENDING_LIMIT = re.compile(
    r"spend(ing)?[ _]limit|insufficient_quota|billing_hard_limit|api usage limits|credit balance"
    r"|\bper[ -]day\b|PerDay|\bdaily (quota|limit)|\b[RT]PD\b",
    re.IGNORECASE,
)


#: The most bytes of one body after decompression, and the most tokens that a server may count.
MAX_BODY, MAX_COUNT = 32 << 20, 10**9


async def limited_body(chunks: AsyncIterator[bytes], limit: int | None = None) -> bytes:
    """Return the body that *chunks* make up; it has *limit* bytes at most, by default `MAX_BODY`.

    Raises:
        RequestRejected: the body is too large.
    """
    body, limit = bytearray(), MAX_BODY if limit is None else limit
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise RequestRejected(f"the body of the reply is larger than {limit >> 20} MB")
    return bytes(body)


def load_json(body: bytes) -> Any:
    """Return the JSON in *body*.

    Raises:
        ValueError: it is no JSON, or is nested too deeply, or has a number of thousands of digits.
    """
    try:
        return json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def token_count(value: object) -> int:
    """Return a count of a server as a number; 0 if it is none that tokens can have."""
    return int(value) if isinstance(value, int) and 0 <= value <= MAX_COUNT else 0


def http_error(
    url: str,
    status: int,
    message: str,
    headers: Mapping[str, str],
    code: object = "",
    *,
    has_answered: bool = False,
) -> ReplyError:
    """Return the error for an HTTP response from *url* with *status*, which is at least 300.

    *message* and *code* are the server's. *has_answered* is True if it has answered other requests
    of the variant; a 403 then concerns this request alone.
    """
    if status < _BAD_REQUEST:
        return _redirect_error(url, headers.get("location", ""))
    text = f"{status} {message}"
    over_limit = status in _SPENDING_STATUSES and _SPENDING_LIMIT.search(f"{code} {message}")
    if over_limit or (status in _PROVIDER_STATUSES and not (status == _FORBIDDEN and has_answered)):
        return ProviderRejected(text)
    if status >= _SERVER_ERROR or status in _RETRYABLE_STATUSES:
        wait = _retry_after(headers.get("retry-after"))
        loading = status == _UNAVAILABLE and bool(_LOADING.search(message))
        return RetryableError(text, wait, limited=status in _LIMIT_STATUSES, loading=loading)
    return RequestRejected(text)


def _redirect_error(url: str, location: str) -> ReplyError:
    """Return the error for a redirect from *url* to *location*, which is never followed."""
    if not location:
        return ProviderRejected(f"{url} redirects, but says not where; check base_url")
    parts = urlsplit(location)
    target = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return ProviderRejected(
        f"{url} redirects to {target}, where no prompt is sent; if that is the server, write its "
        "address as base_url"
    )


def is_page(body: bytes) -> bool:
    """Return True if *body* is a web page, such as that of a proxy, or XML."""
    return body.lstrip()[:1] == b"<"


def page_error(url: str, model: str, hint: str = "", *, has_answered: bool) -> RetryableError:
    """Return the error for a web page from *url* in place of a reply of *model*.

    A server that *has_answered* other requests of the variant is tried again. Any other one is
    tried once more, as a proxy may show a page while it starts; then its address is wrong, and
    *hint* says what may be wrong with it.
    """
    message = f"{url} answered with a web page, not with a reply of {model}"
    is_address = ProviderRejected(f"{message}; correct base_url{hint}")
    return RetryableError(message, rejection=None if has_answered else is_address)


def error_message(body: Any, default: str) -> str:
    """Return the message in the JSON body of an error, or *default*; servers differ in shape."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    message = str((error.get("message") if isinstance(error, Mapping) else error) or default)
    return "a web page" if is_page(message.encode()) else message


def _retry_after(header: str | None) -> float | None:
    """Return the seconds to wait from a Retry-After header, which holds seconds or a date."""
    if not header:
        return None
    with suppress(ValueError):
        seconds = float(header)
        return seconds if isfinite(seconds) and seconds >= 0 else None
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    return None
