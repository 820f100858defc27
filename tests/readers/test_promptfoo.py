"""Results that promptfoo wrote are read: an excerpt of a run against a server of two models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.answer_rows import Columns
from pytest_ftgate.readers.answers import read_answers

FILE = Path(__file__).parent / "data" / "promptfoo.json"
RESULTS = json.loads(FILE.read_text("utf-8"))["results"]["results"]


def by_id(file):
    return {row.id: (row.input, row.expected, row.reply, row.score) for row in file.rows}


def test_one_of_several_outputs_is_named_after_the_path():
    old, new = (read_answers(f"{FILE}::{name}", Columns()) for name in ("old-model", "new"))

    assert by_id(old)["2"] == ("2", "word 2", "word 2", 1)
    assert by_id(new)["2"] == ("2", "word 2", "none", 0)
    assert len(old.rows) == len(new.rows) == 4
    assert old.notes == ("scores not read: score (--score names one)",)


@every_row("name", ["", "::model", "::other"])
def test_a_file_with_several_outputs_says_how_to_name_one(name):
    with pytest.raises(ConfigurationError, match=r'promptfoo\.json::old-model", ".*::new-model"'):
        read_answers(f"{FILE}{name}", Columns())


def test_prompts_name_the_outputs_of_one_provider(tmp_path):
    path = tmp_path / "results.jsonl"
    rows = [
        {**r, "provider": "p", "promptIdx": n, "prompt": {"label": f"prompt {n}"}}
        for n in (0, 1)
        for r in RESULTS[:2]
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")

    assert len(read_answers(f"{path}::prompt 1", Columns(by=("topic",))).rows) == 2


def test_an_error_of_the_provider_is_no_wrong_answer(tmp_path):
    path = tmp_path / "results.json"
    failed = {
        **RESULTS[0],
        "failureReason": 2,
        "error": "timeout",
        "response": {},
        "success": False,
    }
    own = [r for r in RESULTS if r["provider"] == RESULTS[0]["provider"]][1:]
    path.write_text(json.dumps({"results": {"results": [failed, *own]}}), "utf-8")

    file = read_answers(path, Columns())

    assert (file.rows[0].reply, file.rows[0].score) == (None, None)
    assert file.notes[0] == "1 of 4 results are errors: they have no reply"
