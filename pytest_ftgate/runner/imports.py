"""Deferred imports, and imports while replies are awaited."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from pytest_ftgate.client.progress import Progress
from pytest_ftgate.runner.workloads import Judged
from pytest_ftgate.suite.model import ForgettingGate, Suite

if TYPE_CHECKING:
    from pytest_ftgate.results.accepted import Record

__all__ = ["accepted_record", "import_judges", "uncollected", "unhooked"]

#: Seconds for which calls go first, and between two looks at whether they are sent.
_PATIENCE, _LOOK = 2.0, 0.005
#: Seconds that an import keeps the interpreter's lock from calls.
_TURN = 0.0005


def import_judges(gates: Iterable[Judged], progress: Callable[[], Progress]) -> None:
    """Import what judges, while replies are on the wire; SciPy alone takes half a second.

    Both take the one interpreter lock, and calls go first: what is sent later comes later, while
    an import has time until the last reply, which may be a slow one.

    Args:
        gates: what is judged.
        progress: tells how far the asking has come.
    """
    modules = [name for name in _judges(gates) if name not in sys.modules]
    until = time.monotonic() + _PATIENCE
    while modules and progress().unsent and time.monotonic() < until:
        time.sleep(_LOOK)
    with _uninterrupted(), _yielding():
        for module in modules:
            import_module(module)


@contextmanager
def _yielding() -> Iterator[None]:
    """Let a reply that comes meanwhile wait for half a millisecond, and not for five."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_TURN)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait: what NumPy is made of cannot be imported again once it was cut off."""
    pressed: list[int] = []
    here = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(1)) if here else None
    try:
        yield
    finally:
        if here:
            signal.signal(signal.SIGINT, before or signal.SIG_DFL)
        if pressed:
            signal.raise_signal(signal.SIGINT)


def _judges(gates: Iterable[Judged]) -> tuple[str, ...]:
    asked = [judged.gate for judged in gates]
    heavy = {
        "pytest_ftgate.gates.forgetting": any(isinstance(gate, ForgettingGate) for gate in asked),
        "scipy.optimize": any(getattr(gate, "max_drop", None) is not None for gate in asked),
        "sklearn.metrics": any(getattr(gate, "metric", "") == "macro_f1" for gate in asked),
    }
    needed = (name for name, wanted in heavy.items() if wanted)
    return (
        "pytest_ftgate.runner.identity",
        "pytest_ftgate.gates.rates",
        "pytest_ftgate.results.accepted",
        "pytest_ftgate.results.verdicts",
        "pytest_ftgate.results.run",
        *needed,
        "pytest_ftgate.reporting.summary",
        "pytest_ftgate.reporting.writers",
    )


def accepted_record(suite: Suite) -> Record | None:
    """Return the accepted record beside *suite*, or None where there is none.

    Raises:
        SuiteFaults: the file is no record.
    """
    # Most suites have none, and reading one needs what judges.
    if not suite.accepted_path.exists():
        return None
    from pytest_ftgate.results.accepted import read_record

    return read_record(suite.accepted_path, suite.name)


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
