"""A suite on a client that is broken, and a module of tests that fake the client."""

from __future__ import annotations

__all__ = [
    "CODE", "FUNCTION", "GATES", "HEAD", "JUDGED", "RIGHT", "SUITE", "TEST", "outcomes",
    "write_faked",
]  # fmt: skip

#: The real client is broken.
CODE = """\
from pathlib import Path

CLIENT = "real"

def answer(case):
    with Path(__file__).with_name("asked.txt").open("a") as stream:
        stream.write(f"{CLIENT}\\n")
    return case.expected if CLIENT == "fake" else "nonsense"
"""
SUITE, TEST = "tickets.ftgate.yaml", "test_faked.py"
GATES = "{accuracy: {min: 0.5}}"
HEAD = f"""\
from unittest import mock

import answers
import pytest

faked = pytest.mark.ftgate("{SUITE}", min=0.5)
"""
JUDGED = "    assert reply.text == case.expected\n"
FUNCTION = f"@faked\ndef test_faked(case, reply):\n{JUDGED}"
#: The outcomes where the suite has the real replies and the test has the faked ones.
RIGHT = {"accuracy": "failed", "test_faked": "passed"}


def write_faked(desk, module, conftest="", *, code=CODE, gates=GATES, **more):
    """Write a suite on a broken client, and a test that fakes it; return the desk."""
    desk.asking_suite(code, gates=gates, **more)
    desk.pytester.syspathinsert()
    desk.path(TEST).write_text(HEAD + module, "utf-8")
    if conftest:
        desk.path("conftest.py").write_text(f"import answers\nimport pytest\n\n{conftest}")
    return desk


def outcomes(desk):
    """Return the outcomes of the last run by the name of their gate."""
    return {name.partition("[")[0]: told["outcome"] for name, told in desk.verdicts().items()}
