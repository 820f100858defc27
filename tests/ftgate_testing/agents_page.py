"""docs/agents.md: its commands typed in their order, and what they print.

    PYTHONPATH=tests python -m ftgate_testing.agents_page

writes what they print into the page.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ftgate_testing.pages import DOCS, page

EXAMPLE = DOCS.parent / "examples" / "agents"
#: A command, and what the page shows below it, if it does.
TYPED = re.compile(
    r"^```(?:console\n\$ |\n(?=pytest))([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
#: The line of the agent's instructions that the page takes out once a run is accepted.
TAKEN_OUT = "Run the tests before you finish.\n"
#: How long a run took.
_TIME = re.compile(r"\b\d+:\d\d\b")
_SECTION = re.compile(r"^=+ ftgate =+\n(.*?)^=+ .* =+$", re.DOTALL | re.MULTILINE)


def suites() -> dict[str, str]:
    """Return the suites that the page has, by their file names."""
    found = re.findall(r"^`(\w+\.ftgate\.yaml)`:\n\n```yaml\n(.*?)^```", page("agents"),
                       re.DOTALL | re.MULTILINE)  # fmt: skip
    return dict(found)


def make_folder(folder: Path) -> None:
    """Write the example and its runs into *folder*."""
    for file in EXAMPLE.iterdir():
        if file.is_file() and not file.name.endswith(".ftgate.yaml"):
            shutil.copy(file, folder)
    subprocess.run([sys.executable, "make_runs.py", "."], cwd=folder, check=True)


def printed(folder: Path) -> Iterator[tuple[str, int, str]]:
    """Yield each command of the page, its exit code, and what it prints in *folder*.

    There is one suite at a time: the one that the command names.
    """
    programs = Path(sys.executable).parent
    environ = {**os.environ, "COLUMNS": "80", "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    for command, _ in TYPED.findall(page("agents")):
        for name, text in suites().items():
            (folder / name).unlink(missing_ok=True)
            if name in command:
                (folder / name).write_text(text, "utf-8")
        done = subprocess.run(
            command.split(), cwd=folder, env=environ, capture_output=True, text=True, check=False
        )
        section = _SECTION.search(done.stdout)
        text = section[1] if section else done.stdout + done.stderr
        yield command, done.returncode, without_times(text)
        if "--ftgate-accept" in command:
            instructions = folder / "AGENTS.md"
            text = instructions.read_text("utf-8")
            instructions.write_text(text.replace(TAKEN_OUT, ""), "utf-8")


def without_times(text: str) -> str:
    """Return what a run prints with the same time always."""
    return _TIME.sub("0:20", text).strip("\n") + "\n"


def main() -> None:
    """Write the screens into the page."""
    with tempfile.TemporaryDirectory() as name:
        make_folder(Path(name))
        screens = {command: text for command, _, text in printed(Path(name))}

    def replaced(found: re.Match[str]) -> str:
        is_shown = found[0].startswith("```console")
        return f"```console\n$ {found[1]}\n\n{screens[found[1]]}```" if is_shown else found[0]

    (DOCS / "agents.md").write_text(TYPED.sub(replaced, page("agents")), "utf-8")


if __name__ == "__main__":
    main()
