"""The tests may run in a background job, where a shell without job control ignores Ctrl-C."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ftgate_testing.tables import heavy

ROOT = Path(__file__).parents[1]
HANDLER = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"


def test_ctrl_c_reaches_this_process_and_its_children():
    child = subprocess.run(
        [sys.executable, "-c", HANDLER], capture_output=True, text=True, check=True
    )

    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert child.stdout == "True\n"


@pytest.mark.parametrize("processes", ["-n0", heavy("-n1")])
def test_so_it_does_in_a_background_job(processes):
    node = f"{__file__}::{test_ctrl_c_reaches_this_process_and_its_children.__name__}"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", processes, node]

    job = subprocess.run(
        ["sh", "-c", f"trap '' INT; exec {shlex.join(command)}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert job.returncode == 0, job.stdout
    assert "1 passed" in job.stdout
