"""What the README tells a newcomer to type is what CI types."""

from pathlib import Path

ROOT = Path(__file__).parents[1]


def commands(path: str) -> list[str]:
    lines = (ROOT / path).read_text("utf-8").splitlines()
    return [line.strip() for line in lines if "python3 -m venv" in line]


def test_ci_types_the_line_of_the_readme_that_passes_the_tests() -> None:
    (typed,) = commands(".ci/run")

    assert typed in commands("README.md")
    assert typed in commands("CONTRIBUTING.md")


def test_the_workflow_runs_what_guards_main() -> None:
    assert "bash .ci/run" in (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
