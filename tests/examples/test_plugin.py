"""The example plugin can be installed, and its own tests pass where it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ftgate_testing.foreign_plugins import load_installed

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin"


def run(*args, **env):
    return subprocess.run(
        [sys.executable, "-m", *args],
        env=os.environ | env,
        cwd=EXAMPLE,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_installed_and_tested_as_its_readme_says(tmp_path, monkeypatch):
    load_installed(monkeypatch)
    # Without the network: what it is built with is installed.
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--target", str(tmp_path))
    installed = run("pip", "install", "-q", *options, str(EXAMPLE))
    assert installed.returncode == 0, installed.stderr

    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    tested = run("pytest", "-p", "no:cacheprovider", PYTHONPATH=path)

    assert tested.returncode == 0, tested.stdout
    assert "2 passed" in tested.stdout
