"""The reference case, scored without asking anybody, and changed as a test wants it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from reference_case import write, wrong
from rungs import QUIET, TODAY, column

from pytest_ftgate.recommend.evidence import Evidence
from pytest_ftgate.suite.loader import load


@pytest.fixture(scope="session")
def amiss():
    return wrong()


@pytest.fixture
def evidence(tmp_path, amiss):
    """Return what is known of the reference case at a volume, with changes to its suite file."""

    def made(volume=5_000, *changes, without=(), **known):
        suite = load(write(tmp_path, volume, *changes), tmp_path)
        columns = {
            name: column(suite, name, amiss[name]) for name in suite.variants if name not in without
        }
        plain = Evidence(
            suite=suite, columns=columns, verdicts=(), today=TODAY, git=QUIET,
            training_rows={"lora": 800, "hosted": 800}, examples=800,
        )  # fmt: skip
        return replace(plain, **known)

    return made
