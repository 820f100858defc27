"""The processes of one training: the first one decides, and all of them do the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from itertools import count
from math import inf
from typing import Any

from torch import distributed

from pytest_ftgate.errors import EngineError, FtgateError, unexpected
from pytest_ftgate.providers.generation import is_out_of_memory
from pytest_ftgate.training.memory import TOO_LITTLE_MEMORY

#: The trainings of this process that have several ones; all processes count alike.
_TRAININGS = count()
#: The part of the time that others wait in which requests are sent; scoring takes the rest.
_SHARE_OF_WAIT = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What the first process came to at one event of a training.

    Attributes:
        problem: what could not be evaluated, with the reason and what to do; or "".
        stops: True if the training ends.
        figures: what is logged.
        metrics: what the trainer may choose its best checkpoint by.
    """

    problem: str = ""
    stops: bool = False
    figures: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


class Processes:
    """Lets the first process decide, while the others wait.

    They wait at the store of torch's process group, and not in a collective: this one has a time
    limit of its own, after which its backend ends the process.

    Args:
        minutes: the most that the others wait.

    Attributes:
        count: the number of processes in torch's process group; 1 without one.
        is_first: True in the one that decides.
        seconds: the most in which it should send requests.
        error: the exception that kept it from deciding, or None.
    """

    def __init__(self, minutes: float) -> None:
        self._limit = timedelta(minutes=minutes)
        self._given_up = Agreement(
            problem=f"process 0 did not answer within {minutes:g} minutes; raise wait_minutes= of "
            "the callback, or lower cases="
        )
        is_joined = distributed.is_available() and distributed.is_initialized()
        self.count = distributed.get_world_size() if is_joined else 1
        self.is_first = self.count == 1 or distributed.get_rank() == 0
        self.seconds = inf if self.count == 1 else _SHARE_OF_WAIT * 60 * minutes
        self._turns = count()
        self.error: Exception | None = None
        if self.count > 1:
            # The one store that every launcher makes; no public name leads to it.
            store = distributed.distributed_c10d._get_default_store()  # noqa: SLF001
            self._store = distributed.PrefixStore(f"ftgate/{next(_TRAININGS)}", store)

    def agree(self, decide: Callable[[], Agreement]) -> Agreement:
        """Return in all processes what *decide* returns in the first one.

        An exception of *decide* is a problem. Who waits too long decides that there is one: of
        both, all processes take what was written first.
        """
        key = str(next(self._turns))
        if self.count == 1:
            return self._decided(decide)
        if not self.is_first:
            self._wait(key)
            return _read(self._store.get(key))
        # Left as it is if the process is interrupted.
        agreement = Agreement(problem="process 0 was interrupted")
        try:
            agreement = self._decided(decide)
        finally:
            taken = self._store.compare_set(key, "", json.dumps(asdict(agreement)))
        return _read(taken)

    def _decided(self, decide: Callable[[], Agreement]) -> Agreement:
        self.error = None
        try:
            return decide()
        except Exception as error:  # noqa: BLE001 - none of them may end a training
            self.error = error
            return Agreement(problem=reason(error))

    def _wait(self, key: str) -> None:
        try:
            self._store.wait([key], self._limit)
        except distributed.DistStoreError:
            self._store.compare_set(key, "", json.dumps(asdict(self._given_up)))


def _read(text: bytes) -> Agreement:
    values: dict[str, Any] = json.loads(text)
    return Agreement(**values)


def reason(error: Exception) -> str:
    """Return what *error* says, and what to do about it."""
    cause = error.cause if isinstance(error, EngineError) else error
    if is_out_of_memory(cause):
        return TOO_LITTLE_MEMORY
    own = isinstance(cause, FtgateError)
    return str(cause) if own else unexpected(cause)
