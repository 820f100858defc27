"""Another plugin has taken the plain names; both are installed and both work."""

from __future__ import annotations

import pytest
from ftgate_testing.foreign_plugins import load_installed

STUB = """\
import pytest

def pytest_addoption(parser):
    group = parser.getgroup("ftgate")
    for name in ("dataset", "model", "max-seq-len", "fail-on"):
        group.addoption(f"--ftgate-{name}")

@pytest.fixture
def ftgate_lint(request):
    return request.config.getoption("--ftgate-model")
"""


@pytest.fixture
def neighbour(desk, monkeypatch):
    """Install a distribution whose pytest entry point is called ftgate."""
    site = desk.pytester.mkdir("site")
    (site / "ftgate_stub.py").write_text(STUB, "utf-8")
    about = site / "ftgate-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ftgate\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[pytest11]\nftgate = ftgate_stub\n")
    desk.pytester.syspathinsert(site)
    load_installed(monkeypatch)
    desk.pytester.makepyfile("def test_it(ftgate_lint): assert ftgate_lint == 'm'")
    return desk


def test_gates_are_judged_beside_the_neighbours_tests_and_its_options_reach_it(neighbour):
    neighbour.suite(current=2)
    options = ("--ftgate-dataset=d", "--ftgate-max-seq-len=1", "--ftgate-fail-on=x")

    neighbour.run("--ftgate-model=m", *options).assert_outcomes(passed=2)


def test_an_unfinished_option_of_the_neighbour_is_not_taken_for_one_of_ours(neighbour):
    result = neighbour.pytester.runpytest_inprocess("--ftgate-mod=m")

    assert result.ret == 4
