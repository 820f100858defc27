"""Deferred imports, and imports while the run waits for replies."""

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
from pytest_ftgate.runner.workloads import GateRun
from pytest_ftgate.suite.model import ForgettingGate, Suite

if TYPE_CHECKING:
    from pytest_ftgate.results.accepted import AcceptedRecord

__all__ = ["import_gates", "load_accepted_record", "without_gc", "without_pytest_hooks"]

#: The longest time to wait for requests before an import, and the time between polls, in seconds.
_MAX_WAIT, _POLL = 2.0, 0.005
#: The switch interval of the interpreter during imports, in seconds.
_SWITCH_INTERVAL = 0.0005


def import_gates(gates: Iterable[GateRun], progress: Callable[[], Progress]) -> None:
    """Import the modules that evaluate *gates*, once the requests are sent.

    SciPy alone takes half a second. Imports and requests share one interpreter lock, and requests
    go first: a late request brings a late reply, while an import can run until the last reply.

    Args:
        gates: the gates to evaluate.
        progress: returns the progress of the requests.
    """
    modules = [name for name in _modules_of(gates) if name not in sys.modules]
    deadline = time.monotonic() + _MAX_WAIT
    while modules and progress().unsent and time.monotonic() < deadline:
        time.sleep(_POLL)
    with _sigint_deferred(), _short_switch_interval():
        for module in modules:
            import_module(module)


@contextmanager
def _short_switch_interval() -> Iterator[None]:
    """Let the network thread take the interpreter lock after 0.5 ms instead of 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_INTERVAL)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def _sigint_deferred() -> Iterator[None]:
    """Delay Ctrl-C until the end: an interrupted import of NumPy cannot be repeated."""
    received: list[int] = []
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, lambda *_: received.append(1)) if in_main else None
    try:
        yield
    finally:
        if in_main:
            signal.signal(signal.SIGINT, before or signal.SIG_DFL)
        if received:
            signal.raise_signal(signal.SIGINT)


def _modules_of(gates: Iterable[GateRun]) -> tuple[str, ...]:
    kinds = [gate_run.gate for gate_run in gates]
    optional = {
        "pytest_ftgate.gates.forgetting": any(isinstance(gate, ForgettingGate) for gate in kinds),
        "scipy.optimize": any(getattr(gate, "max_drop", None) is not None for gate in kinds),
        "sklearn.metrics": any(getattr(gate, "metric", "") == "macro_f1" for gate in kinds),
    }
    needed = (name for name, is_needed in optional.items() if is_needed)
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


def load_accepted_record(suite: Suite) -> AcceptedRecord | None:
    """Return the accepted record beside *suite*, or None without one.

    Raises:
        SuiteError: the file is not a valid record.
    """
    # Most suites have no record, and the import of the reader is slow.
    if not suite.accepted_path.exists():
        return None
    from pytest_ftgate.results.accepted import read_record

    return read_record(suite.accepted_path, suite.name)


@contextmanager
def without_gc() -> Iterator[None]:
    """Pause the garbage collector, and keep the objects from the block out of later collections.

    An SDK is a million objects, and a plan may have as many. Scanning them again and again takes a
    third of the time that creates them, and as much at the end of the run.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@contextmanager
def without_pytest_hooks() -> Iterator[None]:
    """Run imports without pytest's import hook, which rewrites the asserts of tests.

    The hook takes time for each module, and an SDK has three thousand modules and no tests.
    """
    hooks = [hook for hook in sys.meta_path if type(hook).__module__.startswith("_pytest.")]
    followers = [sys.meta_path[sys.meta_path.index(hook) + 1 :] for hook in hooks]
    for hook in hooks:
        sys.meta_path.remove(hook)
    try:
        yield
    finally:
        # The imported modules may have added hooks before or after the removed ones.
        for hook, after in zip(reversed(hooks), reversed(followers), strict=True):
            positions = (n for n, finder in enumerate(sys.meta_path) if finder in after)
            sys.meta_path.insert(next(positions, len(sys.meta_path)), hook)
