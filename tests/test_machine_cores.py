"""The cores that a process may use: its affinity, its container's quota, physical cores."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.machine import usable_cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_a_process_held_to_one_processor_uses_one():
    code = """
import os
from pytest_ftgate.machine import usable_cores
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
print(usable_cores())
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert process.stdout.split() == [b"1"]


CPU, GROUP = "sys/devices/system/cpu", "proc/self/cgroup"
SIBLINGS = {
    f"{CPU}/cpu{n}/topology/thread_siblings_list": f"{n % 4},{n % 4 + 4}\n" for n in range(8)
}
#: A group and its parents, with a quota each.
NESTED = {
    GROUP: "0::/runners/job/step\n",
    "sys/fs/cgroup/runners/job/step/cpu.max": "max 100000\n",
    "sys/fs/cgroup/runners/job/cpu.max": "300000 100000\n",
    "sys/fs/cgroup/runners/cpu.max": "600000 100000\n",
}


def quota(text: str) -> dict[str, str]:
    return {"sys/fs/cgroup/cpu.max": f"{text} 100000\n"}


def version_1(text: str) -> dict[str, str]:
    """Return the quota of a group of version 1."""
    return {
        GROUP: "5:memory:/job\n4:cpu,cpuacct:/job\n",
        "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": f"{text}\n",
        "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
    }


@every_row("files, cores", [
    ({}, 8), (SIBLINGS, 4), (NESTED, 3), (version_1("400000"), 4), (version_1("-1"), 8),
    (quota("200000"), 2), (quota("250000"), 2), (quota("50000"), 1), (quota("max"), 8),
])  # fmt: skip
def test_physical_cores_count_up_to_the_least_quota_of_the_groups(
    tmp_path, monkeypatch, files, cores
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {*range(8)}, raising=False)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")

    assert usable_cores(tmp_path) == cores
