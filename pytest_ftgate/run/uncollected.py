"""Work whose objects live as long as the run, and which the garbage collector is kept from."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["uncollected", "unhooked"]


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


@contextmanager
def unhooked() -> Iterator[None]:
    """Import what is imported inside without pytest's hook, which rewrites the asserts of tests.

    It takes its time over every module, of which an SDK has three thousand and no test.
    """
    before = [*sys.meta_path]
    sys.meta_path[:] = [one for one in before if not type(one).__module__.startswith("_pytest.")]
    try:
        yield
    finally:
        sys.meta_path[:] = [*before, *(one for one in sys.meta_path if one not in before)]
