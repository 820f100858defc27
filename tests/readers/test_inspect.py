"""Logs that Inspect wrote are read: excerpts of runs with its mock model."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.answer_rows import AnswerRow, Columns
from pytest_ftgate.readers.answers import read_answers

DATA = Path(__file__).parent / "data"
LOG = json.loads((DATA / "inspect_words.json").read_text("utf-8"))


def read(tmp_path, log, **columns):
    path = tmp_path / "log.json"
    path.write_text(json.dumps(log), "utf-8")
    return read_answers(path, Columns(**columns))


@every_row("topic", ["metadata.topic", "topic"])
def test_samples_are_read_by_the_first_scorer_and_metadata_need_no_prefix(topic):
    file = read_answers(DATA / "inspect_words.json", Columns(by=(topic,)))

    assert file.tool == "Inspect log"
    assert file.notes == ("scores not read: includes (--score names one)",)
    assert [row.score for row in file.rows] == [1, 1, 0, 0]
    words = {"input": "Say word 0.", "expected": "word 0", "reply": "word 0"}
    assert file.rows[0] == AnswerRow(line=1, id="w0", score=1.0, tags=("sums",), **words)


def test_a_score_of_several_values_is_named_by_scorer_and_value(tmp_path):
    samples = [{**LOG["samples"][0], "scores": {"judge": {"value": {"tone": 0.5, "fact": "I"}}}}]

    tone, fact = (
        read(tmp_path, {**LOG, "samples": samples}, score=score)
        for score in ("judge.tone", "judge.fact")
    )

    assert (tone.rows[0].score, fact.rows[0].score) == (0.5, 0)


def test_a_failed_sample_has_no_reply_and_a_log_that_ended_early_says_so(tmp_path):
    failed = {**LOG["samples"][1], "error": {"message": "no connection"}, "scores": {}}

    file = read(tmp_path, {**LOG, "status": "error", "samples": [LOG["samples"][0], failed]})

    assert (file.rows[1].reply, file.rows[1].score) == (None, None)
    assert file.notes[0] == "the evaluation ended with the status error: samples may be missing"
    assert file.notes[1] == "1 of 2 samples ended with an error: they have no reply"


def test_a_log_without_samples_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match="has no samples: did the evaluation end"):
        read(tmp_path, {key: LOG[key] for key in ("eval", "status")})


def test_an_archive_is_read_like_a_file_of_json(tmp_path):
    path = tmp_path / "log.eval"
    with ZipFile(path, "w") as archive:
        header = {key: LOG[key] for key in ("eval", "status")}
        archive.writestr("header.json", json.dumps(header))
        for sample in LOG["samples"]:
            archive.writestr(f"samples/{sample['id']}_epoch_1.json", json.dumps(sample))

    assert read_answers(path, Columns()).rows == read(tmp_path, LOG).rows


def test_an_archive_of_inspect_is_read_or_names_the_missing_package():
    try:
        file = read_answers(DATA / "inspect_picks.eval", Columns())
    except ConfigurationError as error:
        if any(find_spec(name) for name in ("zstandard", "compression")):
            raise
        assert "pip install zstandard, or convert it" in str(error)  # noqa: PT017
        return

    assert [(row.id, row.score) for row in file.rows] == [("1", 1), ("2", 1), ("3", 0), ("4", 0)]


def test_a_damaged_archive_is_no_log(tmp_path):
    path = tmp_path / "log.eval"
    path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ConfigurationError, match="is no Inspect log"):
        read_answers(path, Columns())

    with ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(ConfigurationError, match=r"it has no header\.json"):
        read_answers(path, Columns())
