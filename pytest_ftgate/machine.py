"""The machine: the cores that this process may use, a lock, and a callback for long work.

A plugin that shows such work sets the callback, and need not load the modules that do the work.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar
from math import inf
from pathlib import Path

#: Where Linux mounts the control groups: version 2, or the CPU controller of version 1.
_CGROUPS = (Path("sys/fs/cgroup"), Path("sys/fs/cgroup/cpu"))


def usable_cores(root: Path = Path("/")) -> int:
    """Return the number of physical cores that this process may use, at least 1.

    It respects the affinity of the process and the CPU quota of its container. Two logical
    processors of one core count once, since they share its arithmetic units.

    Args:
        root: the folder with ``sys`` and ``proc`` of Linux.
    """
    if hasattr(os, "sched_getaffinity"):
        processors = os.sched_getaffinity(0)
    else:
        processors = {*range(os.cpu_count() or 1)}
    folder = root / "sys/devices/system/cpu"
    cores = {
        _read(folder / f"cpu{number}/topology/thread_siblings_list") or f"{number}"
        for number in processors
    }
    return int(max(1, min(len(cores), *_quotas(root), inf)))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the CPU quotas of the process's control groups and their parents, in processors."""
    lines = _read(root / "proc/self/cgroup").splitlines()
    paths = {line.split(":", 2)[2].strip("/") for line in lines if line.count(":") > 1}
    for mount in (root / part for part in _CGROUPS):
        # In a container, the path may be that of the host, and its group is the root of the mount.
        leaves = {mount, *(mount / path for path in paths)}
        for group in {group for leaf in leaves for group in (leaf, *leaf.parents)}:
            if group.is_relative_to(mount):
                yield from _quota(group)


def _quota(group: Path) -> Iterator[float]:
    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    text = _read(group / "cpu.max") or " ".join(_read(group / name) for name in names)
    # Without a quota, the first word is "max", or negative.
    with suppress(ValueError):
        quota, period = map(int, text.split())
        if quota > 0 < period:
            yield quota / period


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return ""


#: Seconds that a process waits for the lock.
_TIMEOUT = 120.0


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold a lock against other processes that change *path*; it ends with the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f"{path.name}.lock")
    with closing(sqlite3.connect(lock, timeout=_TIMEOUT, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        # The lock file stays: deleting it would break the lock for waiting processes.
        yield


def _write_to_stderr(text: str) -> None:
    sys.stderr.write(f"{text}\n")


#: Called with one sentence before weights are converted, since that takes a while.
show_conversion: ContextVar[Callable[[str], None]] = ContextVar(
    "show_conversion", default=_write_to_stderr
)
