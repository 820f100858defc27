"""Packages of one repository, each with its prompts and tests, run together and alone."""

from __future__ import annotations

import shutil

import pytest

MARKED = """\
import pytest

@pytest.mark.ftgate("prompts/tickets.ftgate.yaml", min=0.8)
def test_it(case, reply):
    assert reply.text == case.expected
"""
SUITE = ("tickets.ftgate.yaml", "tickets.cases.jsonl", "current.jsonl")


@pytest.fixture
def packages(desk):
    """Two packages with a suite and a test, of which one fails in each, and a suite at the top."""
    for folder, wrong in (("pkg_b/prompts", 45), ("pkg_a/prompts", 2), ("prompts", 60)):
        desk.suite(current=wrong, gates="{accuracy: {min: 0.8}}")
        desk.path(folder).mkdir(parents=True)
        for name in SUITE:
            shutil.move(desk.path(name), desk.path(folder) / name)
    for package in ("pkg_a", "pkg_b"):
        desk.path(f"{package}/tests/unit").mkdir(parents=True)
        desk.path(f"{package}/tests/unit/test_{package}.py").write_text(MARKED)
    return desk


def test_a_mark_finds_its_suite_in_the_nearest_folder_above(packages):
    result = packages.run("-k", "test_it", "-v")

    result.assert_outcomes(passed=1, failed=1, deselected=3)
    result.stdout.fnmatch_lines(["pkg_a/tests/unit/test_pkg_a.py::test_it[[]current] PASSED*"])


def test_of_two_packages_with_a_configuration_each_the_common_root_is_named(packages):
    for package in ("pkg_a", "pkg_b"):
        packages.path(f"{package}/pytest.ini").write_text("[pytest]\n")

    alone = packages.run("pkg_b")
    together = packages.run("pkg_a", "pkg_b")

    alone.assert_outcomes(failed=2)
    top = packages.path(".").resolve()
    together.stdout.fnmatch_lines(
        [f"*lies outside {top}/pkg_a; so does this file; start pytest with --rootdir={top}, or *"]
    )
