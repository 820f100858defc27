"""Work whose objects live as long as the run, and which the garbage collector is kept from."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["uncollected"]


@contextmanager
def uncollected() -> Iterator[None]:
    """Let the collector look at nothing that is made inside, neither now nor later.

    An SDK is a million objects, and a plan may be as many. To look through them again and again
    costs a third of the time that it takes to make them, and as much at the end of the run.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()
