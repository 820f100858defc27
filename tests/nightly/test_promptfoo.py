"""Assertions of promptfoo on texts that are drawn anew each time, beside the newest promptfoo."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from ftgate_testing.promptfoo import ask, differs, drawn, means

FOLDER = os.environ.get("PROMPTFOO", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="PROMPTFOO names no folder with promptfoo")
#: How many pairs are drawn.
COUNT = 3000


def test_promptfoo_our_reading_and_an_import_say_the_same_of_new_texts():
    number = random.randrange(1_000_000)
    asked = drawn(COUNT, number)
    said = [*zip(asked, ask(Path(FOLDER), asked), strict=True)]

    assert [(number, pair, one) for pair, one in said if means(pair) is not one] == []
    assert [*filter(None, (differs(pair, one) for pair, one in said))] == []
