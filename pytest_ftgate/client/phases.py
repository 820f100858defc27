"""Phases: a server of one's own is sent the requests of one model and adapter at a time.

Some servers apply an adapter to all requests that they compute together, the base's included.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pytest_ftgate.requests.request import Request, weights_of
from pytest_ftgate.suite.providers import is_hosted_url, provider_spec


@dataclass(slots=True, eq=False)
class _Phase:
    """The requests of one model and adapter without a result yet, by fingerprint."""

    weights: object
    requests: dict[str, Request] = field(default_factory=dict)


def server_address(request: Request) -> str | None:
    """Return the host of a server that takes one phase at a time; None for hosted APIs."""
    if not provider_spec(request.provider).any_server or request.batch:
        return None
    url = request.base_url
    return urlsplit(url).netloc if url and not is_hosted_url(url) else None


class Phases:
    """Holds requests back until those of other weights at their address have results.

    Each submission has one phase for each of its weights, in the order of their first request; it
    continues the last phase before it. A submission that goes first continues the current phase,
    and its other phases come next. Where all requests of an address are to one model, nothing is
    held back.
    """

    def __init__(self) -> None:
        self._queues: dict[str, deque[_Phase]] = {}

    def admit(self, requests: Iterable[Request], *, first: bool = False) -> list[Request]:
        """Return those of *requests* that may be sent now; hold the others."""
        queues = self._queues.items()
        continued = ((name, queue[0 if first else -1]) for name, queue in queues)
        phases = {(name, phase.weights): phase for name, phase in continued}
        admitted = []
        for request in requests:
            address = server_address(request)
            if address is None or self._add(address, request, phases, first=first):
                admitted.append(request)
        return admitted

    def _add(
        self,
        address: str,
        request: Request,
        phases: dict[tuple[str, object], _Phase],
        *,
        first: bool,
    ) -> bool:
        """Add *request* to one of *phases* or a new one; return True if that is the current one."""
        queue, weights = self._queues.setdefault(address, deque()), weights_of(request)
        if (address, weights) not in phases:
            after = sum(name == address for name, _ in phases) if first else len(queue)
            queue.insert(after, phases.setdefault((address, weights), _Phase(weights)))
        phase = phases[address, weights]
        phase.requests[request.fingerprint] = request
        return phase is queue[0]

    def finish(self, request: Request) -> list[Request]:
        """Count a result; return the requests to send now if it was the last of its phase."""
        queue = self._queues.get(server_address(request) or "")
        if not queue:
            return []
        queue[0].requests.pop(request.fingerprint, None)
        if queue[0].requests:
            return []
        queue.popleft()
        if not queue:
            del self._queues[server_address(request) or ""]
            return []
        return [*queue[0].requests.values()]

    def drop_held(self, weights: object = None) -> list[Request]:
        """Drop the requests that are held back, all or those of some weights; return them."""
        dropped: list[Request] = []
        for queue in self._queues.values():
            for phase in [*queue][1:]:
                if weights in (None, phase.weights):
                    dropped += phase.requests.values()
                    queue.remove(phase)
        return dropped
