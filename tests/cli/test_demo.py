"""The verb demo."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from ftgate_testing.foreign_plugins import load_installed
from ftgate_testing.repositories import Repository

from pytest_ftgate.cli.demo import run_demo
from pytest_ftgate.errors import ConfigurationError

TUTORIAL = (Path(__file__).parents[2] / "docs" / "tutorials" / "forgetful.md").read_text("utf-8")


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """Run the demo as a user would type it, with the plugins that are installed."""
    load_installed(monkeypatch)
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("demo")
def test_the_first_run_is_red_and_short_and_every_command_that_it_prints_works(
    pytester, capfd, monkeypatch
):
    folder = pytester.path / "ftgate-demo"
    monkeypatch.chdir(pytester.path)
    monkeypatch.setenv("COLUMNS", "80")
    project = Repository.made(pytester.path)
    project.commit()

    printed = "\n".join(run_demo(Path(folder.name), live=False))

    out = capfd.readouterr().out
    text = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    (screen,) = re.findall(r"<!-- screen: demo.*?```\n(.*?)```", text, re.DOTALL)
    assert screen in out
    lines = out.splitlines()
    start = next(n for n, line in enumerate(lines) if " test session starts " in line)
    end = next(n for n, line in enumerate(lines) if re.fullmatch("=+ 1 failed.* in .*s.* =+", line))
    assert end + 1 - start <= 60
    assert (folder / "report.html").is_file()
    assert "pytest --ftgate" in printed
    (shown,) = re.findall(r"```console\n(.*?)```", TUTORIAL, re.DOTALL)
    assert [line for line in shown.splitlines() if line not in out] == []
    green = pytester.run(sys.executable, "-m", "pytest", "--ftgate", folder, "-k", "lora-replay")
    assert green.ret == 0
    node = f"{folder}/tickets.ftgate.yaml::forgetting[lora-narrow]"
    explained = pytester.run(Path(sys.executable).with_name("pytest-ftgate"), "explain", node)
    assert explained.ret == 0, explained.errlines
    # As it is typed: there is no prompt in the folder, only the demo.
    first = shlex.split(re.findall(r"^  (pytest-ftgate init.*)$", printed, re.MULTILINE)[0])
    begun = pytester.run(Path(sys.executable).with_name(first[0]), *first[1:])
    assert begun.ret == 0, begun.errlines
    assert "ftgate-demo" not in project.git("status", "--porcelain")


@pytest.mark.heavy
@pytest.mark.usefixtures("demo")
def test_it_runs_where_pytest_looks_for_no_plugins_itself(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    assert "next:" in "\n".join(run_demo(tmp_path / "new", live=False))
    assert "1 failed" in capfd.readouterr().out


def test_a_folder_with_other_files_is_not_touched(tmp_path):
    (tmp_path / "notes.txt").write_text("mine", "utf-8")

    with pytest.raises(ConfigurationError, match="exists already; name a new folder"):
        next(run_demo(tmp_path, live=False))

    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
