"""Errors of servers in the user's words: what happened, at which address, and what to write."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from pytest_ftgate.errors import ProviderRejected, ReplyError, RetryableError
from pytest_ftgate.requests.keys import is_loopback
from pytest_ftgate.requests.request import Request

_UNKNOWN_MODEL = (
    "; some servers answer so for an unknown model: correct model, or look into the server's log"
)
#: The number of models that a message names.
_MAX_NAMED = 8
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _SERVER_ERROR, _LOADING = 401, 403, 404, 500, 503


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """The access to one model of one server.

    Attributes:
        url: the base URL.
        model: the name of the model.
        key_name: the variable of the key that is sent; "" if none is sent.
    """

    url: str
    model: str
    key_name: str = ""

    @property
    def is_local(self) -> bool:
        """True if the server runs on this machine."""
        return is_loopback(urlsplit(self.url).hostname)

    @property
    def path_hint(self) -> str:
        """What may be wrong with the path of the address; "" if it is as usual."""
        return "" if self.url.endswith("/v1") else f"; {self.url} does not end in /v1, as most do"

    def connection_error(self, error: OSError, *, has_answered: bool) -> ReplyError:
        """Return the error for a connection that failed with *error*.

        A local port that refuses connections is not tried again, unless it *has_answered* before.
        """
        if error.errno != errno.ECONNREFUSED:
            return RetryableError(f"no connection to {self.url} for {self.model}: {error}")
        message = (
            f"nothing answers at {self.url} (connection refused): start the server of "
            f"{self.model}, or correct the address in base_url or in the variable of base_url_env"
        )
        is_final = self.is_local and not has_answered
        return ProviderRejected(message) if is_final else RetryableError(message)

    def page_error(self, *, has_answered: bool) -> ReplyError:
        """Return the error for a web page in place of a reply."""
        message = f"{self.url} answered with a web page, not with a reply of {self.model}"
        if has_answered:
            return RetryableError(message)
        return ProviderRejected(f"{message}; correct base_url{self.path_hint}")

    def explain(
        self, error: ReplyError, status: int, served: Collection[str], *, has_answered: bool
    ) -> ReplyError:
        """Add to *error* where it happened and what to write, in place; return it.

        *status* is that of the response, and *served* are the models that the server lists.
        """
        hint = self._hint(status, served, has_answered=has_answered)
        if hint or status == _NOT_FOUND:
            error.args = (f"{error} ({self.url}, model {self.model}){hint}", *error.args[1:])
        return error

    def _hint(self, status: int, served: Collection[str], *, has_answered: bool) -> str:
        if status in (_UNAUTHORIZED, _FORBIDDEN):
            if self.key_name:
                return f"; the key is that of {self.key_name}"
            return "; no key was sent: name the variable that holds it in api_key_env"
        if status == _NOT_FOUND:
            return self._served_hint(served) or self.path_hint
        if status == _LOADING:
            return "; a server that loads its model answers so"
        if status == _SERVER_ERROR and not has_answered:
            return self._served_hint(served) or _UNKNOWN_MODEL
        return ""

    def _served_hint(self, served: Collection[str]) -> str:
        """Return which models the server lists, if the model is none of them; else ""."""
        if not served or self.model in served:
            return ""
        names = [*served]
        more = ", …" if len(names) > _MAX_NAMED else ""
        return f"; the server lists {', '.join(names[:_MAX_NAMED])}{more}: correct model"


#: So many bare errors, before any answer, end the variant if a request was sent again in vain.
_MAX_BARE_ERRORS = 3


class BareError(RetryableError):
    """An HTTP 500 without a word on what failed, from a server that has answered nothing yet."""


class BareErrors:
    """The bare errors that each request to one model has met.

    A server that says no more, again and again, probably does not know the model.
    """

    def __init__(self) -> None:
        self._counts = Counter[str]()

    def counted(self, error: BareError, request: Request) -> ReplyError:
        """Return *error* of *request*, or if there were too many, one that ends the variant."""
        self._counts[request.fingerprint] += 1
        total = self._counts.total()
        if total < _MAX_BARE_ERRORS or self._counts[request.fingerprint] == 1:
            return error
        return ProviderRejected(f"{error}; {total} times in a row")
