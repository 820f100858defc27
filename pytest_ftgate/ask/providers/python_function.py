"""A Python function answers: any pipeline of the team's own is a variant."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import Denied, Refused, Unavailable
from pytest_ftgate.plan.call import Call
from pytest_ftgate.suite.reference import function

__all__ = ["PythonFunction", "open_provider"]


class PythonFunction:
    """Calls ``function(case)``, which returns the reply's text and may be async."""

    def __init__(self, called: Callable[..., Any], name: str) -> None:
        self._called, self._name = called, name
        self._is_async = inspect.iscoroutinefunction(called)
        # A plain function may share state between calls, so it is never run twice at once.
        self.concurrency = 16 if self._is_async else 1
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ftgate-python")

    async def ask(self, call: Call) -> Reply:
        """Return what the function says.

        Raises:
            Refused: it raised, or returned something that is not text.
        """
        start = time.perf_counter()
        try:
            if self._is_async:
                text = await self._called(call.case)
            else:
                loop = asyncio.get_running_loop()
                text = await loop.run_in_executor(self._pool, self._called, call.case)
        # Also what is no Exception: sys.exit and pytest.fail must not end the loop awaiting this.
        except BaseException as error:
            raise Refused(f"{self._name} raised {type(error).__name__}: {error}") from error
        if not isinstance(text, str):
            raise Denied(f"{self._name} returned {type(text).__name__}; it must return text")
        return Reply(text=text, seconds=time.perf_counter() - start)

    def serves(self, call: Call) -> bool:
        """Serve the calls that name the same function."""
        return call.function == self._name

    async def close(self) -> None:
        """Let the thread end."""
        self._pool.shutdown(wait=False)


def open_provider(calls: Sequence[Call], environ: Mapping[str, str]) -> PythonFunction:
    """Import the function that *calls* name.

    Raises:
        Unavailable: it cannot be imported.
    """
    del environ
    reference = calls[0].function
    if reference is None:
        raise Unavailable("a python variant needs a function")
    return PythonFunction(function(reference, calls[0].origin), reference)
