"""A key that a test leaves anywhere is found: the plugin behind ``pytest --canary``."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

import pytest
from ftgate_testing import canary

#: Another one than the key of this run, which may be searched for as well.
MARK = "B3zPq9sKd5Jm1WcXv6Gt"
HEAD = """
import base64, os, subprocess, sys

KEY = os.environ["OPENAI_API_KEY"]
OTHER = os.environ["TEAM_KEY"]
"""


@pytest.fixture
def watched(pytester, monkeypatch):
    """Run a test under the plugin."""
    monkeypatch.setattr(canary, "MARK", MARK)

    def run(code):
        pytester.makepyfile(HEAD + code)
        return pytester.runpytest_inprocess("--canary", plugins=[canary])

    return run


@pytest.mark.parametrize(("code", "where"), [
    ("def test(tmp_path): (tmp_path / 'a.txt').write_text(f'key: {KEY}')", "*a.txt holds *"),
    ("def test(tmp_path): (tmp_path / 'a').write_text(OTHER[::-1])", "*a holds *, reversed"),
    ("def test(tmp_path): (tmp_path / 'a').write_bytes(base64.b64encode(KEY.encode()))",
     "*a holds *, base64"),
    ("def test(tmp_path_factory): (tmp_path_factory.mktemp('m') / 'a').write_text(KEY)",
     "*m0?a holds *"),
    ("def test(capsys):\n    print(KEY)\n    capsys.readouterr()", "output *readouterr *"),
    ("def test(): assert not KEY", "the report of *"),
    ("def test(): subprocess.run([sys.executable, '-c', 'pass', KEY])", "a command line holds *"),
    ("def test(): subprocess.run('echo $OPENAI_API_KEY', shell=True, capture_output=True)",
     "output that communicate returned holds *"),
], ids=["file", "reversed", "base64", "shared", "captured", "report", "command", "process"],
)  # fmt: skip
def test_a_key_that_a_test_leaves_is_an_error_of_the_test(watched, code, where):
    result = watched(code)

    assert result.parseoutcomes()["errors"] == 1
    result.stdout.fnmatch_lines([where])


NESTED = """
INNER = "import os, subprocess as s; s.run(['cat', '-', os.environ['TEAM_KEY']], stderr=-3)"

def test(pytestconfig):
    watch = pytestconfig.pluginmanager.get_plugin("canary-watch")
    with subprocess.Popen([sys.executable, "-c", INNER], stdin=-1) as process:
        while process.poll() is None and not watch.leaks:
            pass
        process.stdin.close()
"""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="processes are listed by Linux alone")
def test_the_command_lines_below_a_process_are_looked_at_as_well(watched):
    result = watched(NESTED)

    assert result.parseoutcomes()["errors"] == 1
    result.stdout.fnmatch_lines(["a command line holds *"])


OTHER_USER = """
import pytest

@pytest.fixture
def other():
    yield
    os.seteuid(0)

def test(tmp_path, other):
    (tmp_path / "a.txt").write_text(KEY)
    os.seteuid(65534)
"""


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become another user"
)
def test_the_files_of_a_test_that_acts_as_another_user_are_searched_as_well(watched):
    result = watched(OTHER_USER)

    assert result.parseoutcomes() == {"passed": 1, "errors": 1}
    result.stdout.fnmatch_lines(["*a.txt holds *"])
    assert os.geteuid() == 0


def test_a_test_that_keeps_its_keys_to_itself_passes_and_the_environment_is_as_before(
    watched, monkeypatch
):
    monkeypatch.setenv("TEAM_KEY", "mine")
    told = "def test(tmp_path, capsys):\n    (tmp_path / 'a').write_text(str(len(KEY + OTHER)))"

    watched(told).assert_outcomes(passed=1)
    assert os.environ["TEAM_KEY"] == "mine"


@pytest.mark.parametrize("before", ["", "B", "Be"])
@pytest.mark.parametrize("after", ["", "x", "xy"])
def test_a_key_is_known_in_base64_wherever_it_stands(before, after):
    encoded = b64encode(f"{before}{MARK}{after}".encode())

    assert [name for form, name in canary.forms(MARK).items() if form in encoded] == ["base64"]
