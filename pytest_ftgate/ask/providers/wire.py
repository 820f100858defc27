"""What providers that ask a server share: which status means what, and how it is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pytest_ftgate.errors import Denied, Refused, ReplyError, Transient

__all__ = ["as_text", "failure", "said_in"]

#: Every call of the variant will meet these: no key, no money, no access, no such model.
_HOPELESS = (401, 402, 403, 404)
_FORBIDDEN = 403
#: Time-outs, conflicts and rate limits pass, as every fault of the server itself does.
_PASSING = (408, 409, 429)
_OURS = 500


def said_in(body: Any, otherwise: str) -> str:
    """Return the sentence that the body of an error holds, or *otherwise*."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    said = error.get("message") if isinstance(error, Mapping) else error
    return str(said or otherwise)


def failure(
    status: int,
    said: str,
    headers: Mapping[str, str],
    *,
    spent: bool = False,
    answers: bool = False,
) -> ReplyError:
    """Return what a status other than success means for the call, and for others like it.

    Args:
        status: of HTTP.
        said: the server's own words.
        headers: of its answer.
        spent: the account has no money left, which no waiting mends.
        answers: the server has answered others of these calls, so that what it forbids is this one.
    """
    told = f"{status} {said}"
    if spent or (status in _HOPELESS and not (status == _FORBIDDEN and answers)):
        return Denied(told)
    if status >= _OURS or status in _PASSING:
        return Transient(told, _wait(headers.get("retry-after")))
    return Refused(told)


def _wait(header: str | None) -> float | None:
    """Return the seconds that a server asks to wait, given as such or as a date."""
    if not header:
        return None
    try:
        return float(header)
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def as_text(arguments: Any) -> str:
    """Return the arguments of a tool as the text of a reply; what is no JSON as it is."""
    return arguments if isinstance(arguments, str) else json.dumps(arguments)
