"""What the README tells a newcomer to type is what CI types."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_ftgate.cli import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def commands(path: str) -> list[str]:
    lines = (ROOT / path).read_text("utf-8").splitlines()
    return [line.strip() for line in lines if "python3 -m venv" in line]


def test_ci_types_the_line_of_the_readme_that_passes_the_tests() -> None:
    (typed,) = commands(".ci/run")

    assert typed in commands("README.md")
    assert typed in commands("CONTRIBUTING.md")


@pytest.mark.parametrize("line", ["false && true", "true && false"])
def test_ci_ends_where_a_part_of_its_line_fails(line, tmp_path) -> None:
    (typed,) = commands(".ci/run")
    script = tmp_path / ".ci/run"
    script.parent.mkdir()
    script.write_text((ROOT / ".ci/run").read_text("utf-8").replace(typed, line), "utf-8")

    process = subprocess.run(["bash", script], capture_output=True, text=True, check=False)

    assert process.returncode == 1
    assert "ruff" not in process.stderr


def test_the_workflow_runs_what_guards_main() -> None:
    assert "bash .ci/run" in (ROOT / ".github/workflows/ci.yml").read_text("utf-8")


def test_the_ladder_of_the_readme_is_what_the_example_prints(tmp_path, monkeypatch, capsys) -> None:
    """Its replies are those of the model in the box, kept in a file.

    After a change of the example run it again, and write them anew: pytest --ftgate examples/ladder
    && pytest-ftgate cache export examples/ladder/ladder.ftgate.yaml -o FILE
    """
    monkeypatch.chdir(ROOT)
    cache = str(tmp_path / "cache.sqlite")
    kept = "tests/recorded/ladder.replies.jsonl"
    assert main.main(["cache", "import", kept, "--cache", cache]) == 0, capsys.readouterr().err
    told = ["--ftgate", "--ftgate-replies=recorded", f"--ftgate-cache={cache}", "examples/ladder"]

    done = subprocess.run(
        [sys.executable, "-m", "pytest", *told],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )

    (shown,) = re.findall(r"```\nPASSED.*?(  examples/ladder/[^\n]*:.*?)```", README, re.DOTALL)
    printed = iter(done.stdout.splitlines())
    for line in shown.splitlines():
        assert line in ("[…]", "") or line in printed, f"not printed, or not here: {line}\n{done}"
