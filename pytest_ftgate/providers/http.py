"""HTTP errors of providers: which are retryable, and which parameters a server rejects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pytest_ftgate.errors import Denied, Refused, ReplyError, Transient

__all__ = ["Learned", "said_in", "trouble"]

#: Every call of the variant will meet these: no key, no money, no access, no such model.
_HOPELESS = (401, 402, 403, 404)
_FORBIDDEN = 403
#: Time-outs, conflicts and rate limits pass, as every fault of the server itself does.
_PASSING = (408, 409, 429)
_SERVERS_FAULT = 500
#: More was asked than the server takes.
_LIMITED = (429, 503, 529)
#: Statuses that a limit on money or on a day comes with; no waiting within a run lifts it.
_SPENDING = (400, 429)
_SPENT = re.compile(
    r"spend(ing)?[ _]limit|insufficient_quota|billing_hard_limit|api usage limits|credit balance"
    r"|\bper[ -]day\b|PerDay|\bdaily (quota|limit)|\b[RT]PD\b",
    re.IGNORECASE,
)


def trouble(
    status: int, said: str, headers: Mapping[str, str], code: object = "", *, answers: bool = False
) -> ReplyError:
    """Return the error that an answer with *status* is.

    Args:
        status: from 400 up.
        said: the server's own words.
        headers: of the answer.
        code: the server's own name for what is wrong, where it has one.
        answers: the server has answered others of these calls, so that what it forbids is this one.
    """
    told = f"{status} {said}"
    spent = status in _SPENDING and _SPENT.search(f"{code} {said}")
    if spent or (status in _HOPELESS and not (status == _FORBIDDEN and answers)):
        return Denied(told)
    if status >= _SERVERS_FAULT or status in _PASSING:
        wait = _seconds(headers.get("retry-after"))
        return Transient(told, wait, limited=status in _LIMITED)
    return Refused(told)


def said_in(body: Any, otherwise: str) -> str:
    """Return the sentence that the body of an error holds, or *otherwise*; shapes differ widely."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    said = error.get("message") if isinstance(error, Mapping) else error
    return str(said or otherwise)


def _seconds(header: str | None) -> float | None:
    """Return the seconds that a server asks to wait, given as such or as a date."""
    if not header:
        return None
    with suppress(ValueError):
        return float(header)
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    return None


#: Words of a server that knows the setting and minds its value: that is for the author to mend.
_VALUE = re.compile(
    r"range|must be|at (least|most)|less than|greater|between|maximum|minimum|may only|"
    r"invalid (value|schema)|cannot both|only one|not both",
    re.IGNORECASE,
)
#: Words of a server that does not know settings; with others it may mean them together.
_UNKNOWN = re.compile(
    r"(not|n't) (supported|permitted|allowed|accepted)|unsupported|unknown|unrecognized|extra",
    re.IGNORECASE,
)


class Learned:
    """What one server and model will not take.

    A declared setting is sent until the server names it in a refusal. What was left out is kept
    with every reply, so that nobody takes a reply for one at temperature 0 that is none.
    """

    def __init__(self) -> None:
        self._refused: set[str] = set()

    def takes(self, setting: str) -> bool:
        """Tell whether *setting* has not been refused so far."""
        return setting not in self._refused

    def taken(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return *settings* without those that were refused."""
        return {key: value for key, value in settings.items() if self.takes(key)}

    def learn(self, said: str, sent: Iterable[str]) -> bool:
        """Take a refusal in; True where it names a setting that was sent, to be left out now.

        Args:
            said: the server's own words.
            sent: the settings that the refused request held, also where they have been learned of
                since: it was in flight meanwhile.
        """
        named = {key for key in sent if re.search(rf"\b{re.escape(key)}\b", said)}
        if not named or _VALUE.search(said) or (len(named) > 1 and not _UNKNOWN.search(said)):
            return False
        self._refused |= named
        return True
