"""One model on several servers: each request goes to the server that is free, and replies."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_ftgate.errors import ProviderRejected, ReplyError, RetryableError
from pytest_ftgate.providers.base import Provider
from pytest_ftgate.requests.reply import FAILED_SERVER_FACT, SERVER_FACT, Reply
from pytest_ftgate.requests.request import Request

#: Seconds without a request after a failure; each further failure in a row doubles them.
_REST, _LONGEST_REST = 1.0, 60.0


@dataclass(slots=True, eq=False)
class _Member:
    """One server of a pool.

    Attributes:
        name: its host, as reports show it.
        in_flight: the number of requests that wait for its replies.
        failures: failures in a row.
        rests_until: the time on the monotonic clock until which others are preferred.
        error: how it last failed, or "".
        is_lost: True if no request is sent to it any more.
    """

    name: str
    provider: Any
    in_flight: int = 0
    failures: int = 0
    rests_until: float = 0.0
    error: str = ""
    is_lost: bool = False

    @property
    def reason(self) -> str:
        """How it failed, without what to start: one reason for all models of a server."""
        return self.error.partition(": start the server")[0]

    def fail(self, error: ReplyError) -> None:
        """Let the server rest after *error*, or leave it out."""
        seconds = min(_REST * 2**self.failures, _LONGEST_REST)
        self.failures, self.rests_until = self.failures + 1, time.monotonic() + seconds
        self.error, self.is_lost = str(error), isinstance(error, ProviderRejected)


class ServerPool(Provider):
    """Servers of one model as one provider.

    A request goes to the server with the fewest requests in flight. What one server does not answer
    is sent to the next one at once. A server that fails rests for a while; one that refuses every
    request, as for a model that it does not have, is left out for the rest of the run.
    """

    def __init__(self, servers: Sequence[tuple[str, Any]]) -> None:
        self._members = [_Member(name, provider) for name, provider in servers]
        self.concurrency = sum(provider.concurrency for _, provider in servers)
        self.max_concurrency = sum(provider.max_concurrency for _, provider in servers)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the first server, which stands for all."""
        return getattr(self._members[0].provider, name)

    async def generate(self, request: Request) -> Reply:
        """Return the reply of one server.

        Raises:
            ReplyError: no server answers; the error is that of the last one that was asked.
        """
        asked: list[_Member] = []
        error: ReplyError | None = None
        while (member := self._next(asked)) is not None:
            asked.append(member)
            try:
                return await self._ask(member, request)
            except (RetryableError, ProviderRejected) as failed:
                error = failed
        raise error or ProviderRejected("; ".join(one.error for one in self._members))

    async def _ask(self, member: _Member, request: Request) -> Reply:
        member.in_flight += 1
        try:
            reply: Reply = await member.provider.generate(request)
        except (RetryableError, ProviderRejected) as error:
            # A full server is well, and the others may have room.
            if not getattr(error, "limited", False):
                member.fail(error)
            raise
        finally:
            member.in_flight -= 1
        member.failures, member.rests_until = 0, 0.0
        failed = {f"{FAILED_SERVER_FACT}{m.name}": m.reason for m in self._members if m.error}
        return replace(reply, facts={**reply.facts, SERVER_FACT: member.name, **failed})

    def _next(self, asked: Sequence[_Member]) -> _Member | None:
        """Return the server to ask after those in *asked*; None if there is no other."""
        now = time.monotonic()
        left = [one for one in self._members if not (one.is_lost or one in asked)]
        return min(left, key=lambda m: (max(0.0, m.rests_until - now), m.in_flight), default=None)

    async def close(self) -> None:
        """Close all connections."""
        for member in self._members:
            await member.provider.close()
