"""An advice for the tests of reports: the reference case, advised without asking anybody."""

from __future__ import annotations

import pytest
from reference_case import write, wrong
from rungs import QUIET, TODAY, column

from pytest_ftgate.recommend.evidence import Evidence
from pytest_ftgate.recommend.recommend import advise
from pytest_ftgate.suite.loader import load


@pytest.fixture(scope="session")
def advice(tmp_path_factory):
    """Return what is advised at 5,000 calls a day."""
    folder = tmp_path_factory.mktemp("ladder")
    suite, amiss = load(write(folder, 5_000), folder), wrong()
    columns = {name: column(suite, name, amiss[name]) for name in suite.variants}
    told = advise(
        Evidence(
            suite=suite, columns=columns, verdicts=(), today=TODAY, git=QUIET,
            training_rows={"lora": 800, "hosted": 800}, examples=800,
        )
    )  # fmt: skip
    assert told is not None
    return told
