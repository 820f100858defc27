"""The wheel holds what an installation needs, and its page on an index has links that work."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from pytest_ftgate.settings import DOCS_URL

ROOT = Path(__file__).parents[1]
DATA = (
    "py.typed",
    "demo/about.txt",
    "demo/tickets.ftgate.yaml",
    "demo/live/tickets.ftgate.yaml",
    "demo/live/tickets-narrow.gguf",
    "results/run.schema.json",
    "suite/suite.schema.json",
    "skills/data/arithmetic.jsonl",
    "skills/hard/knowledge-1.jsonl.gz",
    "reporting/html/templates/page.html",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel from a copy of what it is made of."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__", ".ftgate")
    for name in ("pytest_ftgate", "examples", "docs"):
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        yield archive


def test_every_module_and_every_file_that_they_read_is_in_the_wheel(wheel):
    names = {name.removeprefix("pytest_ftgate/") for name in wheel.namelist()}
    package = ROOT / "pytest_ftgate"
    files = [path for path in package.rglob("*") if path.is_file()]
    wanted = {
        path.relative_to(package).as_posix()
        for path in files
        if not {"__pycache__", ".ftgate"} & {*path.parts}
    }

    assert wanted | {*DATA} <= names


def test_nothing_of_the_repository_besides_the_package_is_in_the_wheel(wheel):
    tops = {name.partition("/")[0].partition("-")[0] for name in wheel.namelist()}

    assert tops == {"pytest_ftgate"}


def test_the_page_of_the_package_links_to_the_site(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith("dist-info/METADATA")]
    metadata = Parser().parsestr(wheel.read(name).decode())
    readme = metadata.get_payload()

    assert f"Documentation, {DOCS_URL}" in metadata.get_all("Project-URL")
    assert f"]({DOCS_URL}statistics/)" in readme
    links = re.findall(r"\]\(([^)\s]+)\)", readme)
    assert [link for link in links if not link.startswith("https://")] == []
