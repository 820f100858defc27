"""The cores that a process may use: its affinity, its container's quota, physical cores."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pytest_ftgate.machine import usable_cores


@pytest.fixture
def eight(monkeypatch):
    """Allow this process eight logical processors."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {*range(8)}, raising=False)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


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


@pytest.mark.usefixtures("eight")
def test_all_processors_count_if_nothing_limits_them(tmp_path):
    assert usable_cores(tmp_path) == 8


@pytest.mark.usefixtures("eight")
def test_two_processors_of_one_core_count_once(tmp_path):
    for number in range(8):
        siblings = f"{number % 4},{number % 4 + 4}\n"
        folder = tmp_path / f"sys/devices/system/cpu/cpu{number}/topology"
        write(folder / "thread_siblings_list", siblings)

    assert usable_cores(tmp_path) == 4


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(
    ("text", "cores"),
    [("200000 100000\n", 2), ("250000 100000\n", 2), ("50000 100000\n", 1), ("max 100000\n", 8)],
)
def test_the_quota_of_a_container_is_respected(tmp_path, text, cores):
    write(tmp_path / "sys/fs/cgroup/cpu.max", text)

    assert usable_cores(tmp_path) == cores


@pytest.mark.usefixtures("eight")
def test_the_least_quota_of_a_group_and_its_parents_is_respected(tmp_path):
    write(tmp_path / "proc/self/cgroup", "0::/runners/job/step\n")
    write(tmp_path / "sys/fs/cgroup/runners/job/step/cpu.max", "max 100000\n")
    write(tmp_path / "sys/fs/cgroup/runners/job/cpu.max", "300000 100000\n")
    write(tmp_path / "sys/fs/cgroup/runners/cpu.max", "600000 100000\n")

    assert usable_cores(tmp_path) == 3


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(("quota", "cores"), [("400000", 4), ("-1", 8)])
def test_the_quota_of_version_1_of_control_groups_is_respected(tmp_path, quota, cores):
    write(tmp_path / "proc/self/cgroup", "5:memory:/job\n4:cpu,cpuacct:/job\n")
    write(tmp_path / "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", f"{quota}\n")
    write(tmp_path / "sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n")

    assert usable_cores(tmp_path) == cores
