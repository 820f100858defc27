"""Saved checkpoints in docs/training.md: the suite, and the form of the screen of a real run."""

from __future__ import annotations

import re

from ftgate_testing.pages import page
from ftgate_testing.suite_files import PEFT, write_files

from pytest_ftgate.reporting.checkpoints import CAUTION, RATES
from pytest_ftgate.suite.loader import load_suite

PAGE = page("training").partition("## Gate saved checkpoints")[2]
SCREEN = PAGE.partition("```console\n")[2].partition("```")[0]


def test_the_suite_of_the_page_has_a_variant_for_each_checkpoint(tmp_path):
    text = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
    files = {"s.ftgate.yaml": f"cases: [{{input: a, expected: b}}]\n{text}"}
    for step in (100, 200):
        for name, content in PEFT.items():
            files[name.replace("out/", f"out/checkpoint-{step}/")] = content
    write_files(tmp_path, files)

    suite = load_suite(tmp_path / "s.ftgate.yaml", tmp_path)

    assert [*suite.variants] == ["base", "tuned-checkpoint-100", "tuned-checkpoint-200"]


def test_the_screen_has_the_columns_and_the_caution_of_a_run():
    words = " ".join(SCREEN.split())

    assert f"step {' '.join(RATES.values())} outcome" in words
    assert CAUTION in words
    assert "(decides)" in words
