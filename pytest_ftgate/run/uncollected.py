"""Work for the whole run, which the garbage collector and pytest's import hook are kept from."""

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
    hooks = [one for one in sys.meta_path if type(one).__module__.startswith("_pytest.")]
    behind = [sys.meta_path[sys.meta_path.index(one) + 1 :] for one in hooks]
    for one in hooks:
        sys.meta_path.remove(one)
    try:
        yield
    finally:
        # What was imported may have added hooks of its own, before these or behind them.
        for one, others in zip(reversed(hooks), reversed(behind), strict=True):
            here = (n for n, other in enumerate(sys.meta_path) if other in others)
            sys.meta_path.insert(next(here, len(sys.meta_path)), one)
