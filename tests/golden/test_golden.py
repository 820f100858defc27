"""Golden screens: each project prints and writes what its files show, byte for byte.

After a change that is meant: ``PYTHONPATH=tests python -m ftgate_testing.golden [NAME ...]``; then
read the diff.
"""

from __future__ import annotations

import pytest
from ftgate_testing.golden import FOLDER, PROJECTS, copier, screens


@pytest.fixture(scope="module")
def runs():
    found = copier()
    yield found
    found.close()


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_shows_what_its_files_hold(runs, name):
    held = {path.name: path.read_text("utf-8") for path in (FOLDER / name).iterdir()}

    assert screens(runs, PROJECTS[name]) == held


def test_no_files_are_left_of_a_project_that_is_gone():
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} - {"__pycache__"} == {
        *PROJECTS
    }
