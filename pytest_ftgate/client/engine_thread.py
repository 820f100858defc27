"""The event loop of the engine, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from traceback import extract_tb
from typing import Any

from pytest_ftgate.errors import is_installed

_PACKAGE = str(Path(__file__).parents[1])


class EngineThread:
    """A thread that runs an event loop until it is stopped; no exception ends it.

    *on_error* is called in this thread with an exception that ends a callback of this package or
    of the user's code, or that would end the loop, as ``sys.exit`` does.
    """

    def __init__(self, on_error: Callable[[BaseException], object]) -> None:
        self._on_error = on_error
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(self._handle)
        self._thread = threading.Thread(target=self._run, name="ftgate", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                return self.loop.run_forever()
            except BaseException as error:  # noqa: BLE001 - what waits here would wait forever
                self._on_error(error)

    def _handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        # What callbacks of libraries raise, such as on a connection that breaks, is theirs.
        if "handle" in context and error is not None and _concerns_run(error):
            self._on_error(error)
        else:
            loop.default_exception_handler(context)

    def stop(self) -> None:
        """Stop the loop and wait for the thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


def _concerns_run(error: BaseException) -> bool:
    """Return True if *error* went through this package, or through code that is not installed."""
    paths = [frame.filename for frame in extract_tb(error.__traceback__)]
    return any(path.startswith(_PACKAGE) or not is_installed(path) for path in paths)
