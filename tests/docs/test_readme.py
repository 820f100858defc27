"""What the README tells a newcomer to type is what CI types, and what CI runs at night."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
import yaml

from pytest_ftgate.cli import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
sys.path.append(str(ROOT / "benchmarks"))
screens = importlib.import_module("screens")


def commands(path: str) -> list[str]:
    lines = (ROOT / path).read_text("utf-8").splitlines()
    return [line.strip() for line in lines if "python3 -m venv" in line]


def test_ci_types_the_line_of_the_readme_that_passes_the_tests() -> None:
    typed, beside_other_plugins = commands(".ci/run")

    assert typed in commands("README.md")
    assert {typed, beside_other_plugins} <= {*commands("CONTRIBUTING.md")}


def test_ci_ends_where_a_part_of_a_line_fails(tmp_path) -> None:
    text = (ROOT / ".ci/run").read_text("utf-8")
    typed = commands(".ci/run")
    script = tmp_path / ".ci/run"
    script.parent.mkdir()

    for failing, number in product(("false && true", "true && false"), range(len(typed))):
        broken = text
        for position, line in enumerate(typed):
            broken = broken.replace(line, failing if position == number else "true")
        script.write_text(broken, "utf-8")
        process = subprocess.run(["bash", script], capture_output=True, text=True, check=False)

        assert process.returncode == 1, (failing, number)
        assert "ruff" not in process.stderr


def test_the_workflow_runs_what_guards_main() -> None:
    assert "bash .ci/run" in (ROOT / ".github/workflows/ci.yml").read_text("utf-8")


#: Stands in for the commands of .ci/nightly: prints its arguments, and fails for what is fuzzed.
STAND_IN = """#!/bin/sh
echo "called: $*"
case "$*" in *hypothesis*) exit 1 ;; esac
"""


@pytest.fixture
def nightly(tmp_path, monkeypatch):
    """Run a copy of .ci/nightly whose commands are stand-ins."""
    for name in ("path/python3", *(f".nightly/venv/bin/{n}" for n in ("pip", "pytest", "python"))):
        command = tmp_path / name
        command.parent.mkdir(parents=True, exist_ok=True)
        command.write_text(STAND_IN, "utf-8")
        command.chmod(0o755)
    shutil.copy(tmp_path / "path/python3", tmp_path / ".nightly/venv/bin/pytest-ftgate")
    monkeypatch.setenv("PATH", str(tmp_path / "path"), prepend=os.pathsep)
    script = tmp_path / ".ci/nightly"
    script.parent.mkdir()
    shutil.copy(ROOT / ".ci/nightly", script)

    def run(*steps):
        return subprocess.run(["bash", script, *steps], capture_output=True, text=True, check=False)

    return run


def test_a_nightly_step_that_fails_is_named_and_stops_no_other(nightly) -> None:
    process = nightly("fuzzing", "ray", "error_rates")

    assert (process.returncode, process.stderr) == (1, "failed: fuzzing\n")
    assert "called: benchmarks/error_rates.py" in process.stdout
    assert "called: tests/client/test_ray.py tests/journeys/test_ray.py" in process.stdout
    assert "test_vllm.py" not in process.stdout


def test_a_nightly_step_that_is_misspelt_is_an_error_and_steps_that_pass_end_with_0(
    nightly,
) -> None:
    process = nightly("ray", "fuzz")

    assert process.returncode == 2
    assert process.stderr.startswith("no step fuzz: heavy neighbours ray ")
    assert process.stdout == ""
    assert nightly("ray", "trainer").returncode == 0


def test_the_nightly_workflow_has_a_job_for_each_step() -> None:
    text = (ROOT / ".ci/nightly").read_text("utf-8")
    (steps,) = re.findall(r"^steps=\((.+)\)$", text, re.MULTILINE)
    workflow = yaml.safe_load((ROOT / ".github/workflows/nightly.yml").read_text("utf-8"))
    job = workflow["jobs"]["nightly"]

    assert job["strategy"]["matrix"]["step"] == steps.split()
    assert job["steps"][-1]["run"] == 'bash .ci/nightly "$STEP"'


def test_the_ladder_of_the_documents_is_what_the_example_prints(
    tmp_path, monkeypatch, capsys
) -> None:
    """Its replies are those of the model in the box, kept in a file.

    After a change of the example run it again, and write them anew: pytest --ftgate examples/ladder
    && pytest-ftgate cache export examples/ladder/ladder.ftgate.yaml -o FILE
    """
    monkeypatch.chdir(ROOT)
    cache = str(tmp_path / "cache.sqlite")
    kept = "tests/recorded/ladder.replies.jsonl"
    assert main.main(["cache", "import", kept, "--cache", cache]) == 0, capsys.readouterr().err
    told = ["--ftgate", "--ftgate-ladder", "--ftgate-replies=recorded"]
    told += [f"--ftgate-cache={cache}", "examples/ladder"]

    done = subprocess.run(
        [sys.executable, "-m", "pytest", *told],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )

    texts = README, (ROOT / "docs/ladder.md").read_text("utf-8")
    shown = [one for text in texts for _, one in screens.screens(text) if one.step == "ladder"]
    assert len(shown) == len(texts)
    for one in shown:
        assert without_checkout(one.quoted(done.stdout)) == without_checkout(one.text)


def test_the_comparison_of_the_readme_is_what_it_prints(monkeypatch, capsys) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "80")
    (typed,) = re.findall(r"^\.venv/bin/pytest-ftgate (compare .*)$", README, re.MULTILINE)

    assert main.main(typed.split()) == 1

    assert screen("compare").quoted(capsys.readouterr().out) == screen("compare").text


def screen(step: str):
    (found,) = [one for _, one in screens.screens(README) if one.step == step]
    return found


def without_checkout(text: str) -> str:
    """Return *text* without what depends on the checkout: changes in git, and other suites."""
    text = re.sub(r"^(no gate was selected in|changed since) .*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"stable +for .*?\n  \*", "stable\n  *", text, flags=re.DOTALL)


def test_every_screen_of_a_document_is_made_of_a_step_that_names_the_document() -> None:
    spec = importlib.util.spec_from_file_location("regenerate", ROOT / "benchmarks/regenerate.py")
    regenerate = importlib.util.module_from_spec(spec)
    sys.modules["regenerate"] = regenerate
    spec.loader.exec_module(regenerate)
    shown_in = {step.name: step.shown_in for step in regenerate.STEPS}

    for path in screens.documents():
        text = path.read_text("utf-8")
        found = [one for _, one in screens.screens(text)]
        assert len(found) == text.count("<!-- screen:"), path
        for one in found:
            assert path.relative_to(ROOT).as_posix() in shown_in[one.step]
            assert one.text.startswith(one.first)


def test_a_screen_is_quoted_from_its_first_line_to_its_last(tmp_path) -> None:
    one = screens.Screen("demo", "BLOCKED", "wrote", included=False, text="")

    assert one.quoted("noise\nBLOCKED 1\n\nx\nwrote it\n") == "BLOCKED 1\n\nx\n"
    assert one._replace(included=True).quoted("BLOCKED\nwrote it") == "BLOCKED\nwrote it\n"
    with pytest.raises(ValueError, match="has no lines from"):
        one.quoted("BLOCKED, and nothing more")
