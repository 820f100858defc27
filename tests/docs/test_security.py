"""The numbers of the security page are those of the code, and the files that it names exist."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_ftgate.providers.http import MAX_BODY, MAX_COUNT
from pytest_ftgate.readers import yaml
from pytest_ftgate.scoring import sandbox, sandbox_child
from pytest_ftgate.settings import KeyRule
from pytest_ftgate.suite.safe_mode import MAX_CASES, MAX_REPEATS, MAX_REPLIES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")


def test_the_limits_are_those_of_the_code():
    limits = [
        f"{MAX_CASES:,} cases, {MAX_REPEATS} repeats and {MAX_REPLIES:,} replies",
        f"after decompression | {MAX_BODY >> 20} MB |",
        f"of a YAML file repeat | {yaml._MAX_REPEATED:,} |",
        f"| 0 to {MAX_COUNT:,}, else 0 |",
        f"{sandbox_child._MAX_OPEN} open files",
        f"files of {sandbox_child._MAX_FILE >> 20} MB",
        f"{sandbox._MAX_BYTES >> 20} MB in {sandbox._MAX_FILES:,} files",
    ]
    page = re.sub(r"\s+", " ", PAGE)

    assert [words for words in limits if words not in page] == []


PROMISES = re.findall(r"^\d+\. (.*?)(?=^\d+\. |^Not promised)", PAGE, re.DOTALL | re.MULTILINE)
#: A place in the page for what is held elsewhere is a comment.
NAMED = r"`(tests/[\w/-]+\.(?:py|yaml))(?:::(\w+))?`"


def test_each_of_the_ten_promises_names_its_tests():
    shown = [re.sub(r"<!--.*?-->", "", promise, flags=re.DOTALL) for promise in PROMISES]

    assert len(shown) == 10
    assert [promise for promise in shown if not re.search(NAMED, promise)] == []


def test_every_test_that_holds_a_promise_exists():
    named = re.findall(NAMED, re.sub(r"<!--.*?-->", "", PAGE, flags=re.DOTALL))
    texts = {file: (ROOT / file).read_text("utf-8") for file, _ in named if (ROOT / file).exists()}

    assert [file for file, _ in named if file not in texts] == []
    assert [name for file, name in named if name and f"def {name}(" not in texts[file]] == []


def test_the_example_lines_of_keys_can_be_read():
    block = PAGE.partition("ftgate_keys =\n")[2].partition("```")[0]

    assert [KeyRule.read(line).name for line in block.split("\n") if line.strip()] == [
        *("TEAM_KEY", "LITELLM_KEY", "VLLM_KEY")
    ]
