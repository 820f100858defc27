"""The pictures of trainings are drawn from the logs that are kept beside them."""

from __future__ import annotations

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOGS = sorted((ROOT / "docs" / "pictures").glob("training-*.json"))


@pytest.mark.parametrize("log", LOGS, ids=[log.stem for log in LOGS])
def test_the_picture_of_a_training_shows_its_log(log):
    spec = spec_from_file_location("curve", ROOT / "examples" / "tickets" / "curve.py")
    curve = module_from_spec(spec)
    spec.loader.exec_module(curve)

    drawn = curve.draw(json.loads(log.read_text("utf-8")))

    assert log.with_suffix(".svg").read_text("utf-8") == drawn
