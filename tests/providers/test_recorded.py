"""Replies that another tool wrote to a file."""

from __future__ import annotations

import json
import os
import resource
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.client.engine import Engine
from pytest_ftgate.errors import ConfigurationError, RequestRejected
from pytest_ftgate.providers import recorded as recorded_module
from pytest_ftgate.providers.recorded import RecordedReplies
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule


@pytest.fixture
def file(tmp_path):
    return tmp_path / "replies.jsonl"


@pytest.fixture
def recorded(call, file):
    def make(case: str = "a"):
        asked = Case(id=case, location="cases.jsonl:1", score=Rule("exact"))
        return call(provider="recorded", case=asked, replies=file)

    return make


def reply_to(call) -> Reply:
    with RecordedReplies() as files:
        return files.reply(call)


def test_a_case_is_answered_by_the_line_with_its_id(recorded, file):
    file.write_text('{"id": "a", "text": "one"}\n\n{"id": "b", "text": "two"}\n')
    assert reply_to(recorded("b")) == Reply(text="two")


def test_a_line_may_say_how_the_reply_ended_what_it_used_and_more(recorded, file):
    file.write_text(
        '{"id": "a", "text": "one", "stop": "length", "model": "m-1", "seconds": 0.5,'
        ' "usage": {"input": 3, "output": 7}, "thought": "hm", "trace": "not ours"}'
    )
    known = Reply(
        text="one", stop="length", model="m-1", seconds=0.5, usage={"input": 3, "output": 7}
    )
    assert reply_to(recorded()) == replace(known, thought="hm")


def test_an_id_that_is_a_number_answers_the_case_of_that_name(recorded, file):
    file.write_text('{"id": 17, "text": "one"}')
    assert reply_to(recorded("17")).text == "one"


def test_half_a_character_in_an_id_and_in_a_text_is_replaced(recorded, file):
    file.write_text('{"id": "a\\ud83d", "text": "so far \\ud83d"}')
    assert reply_to(recorded("a\ufffd")) == Reply(text="so far \ufffd")


def test_line_separators_inside_a_text_do_not_break_the_line(recorded, file):
    file.write_text('{"id": "a", "text": "one\u2028two\x85three"}\r\n', encoding="utf-8")
    assert reply_to(recorded()).text == "one\u2028two\x85three"


def test_a_second_line_of_an_id_is_its_second_reply(recorded, file):
    file.write_text('{"id": "a", "text": "one"}\n{"id": "a", "text": "two"}\n')
    calls = [replace(recorded(), repeat=repeat) for repeat in (0, 1)]
    assert [reply_to(call).text for call in calls] == ["one", "two"]


def test_an_edited_file_is_read_again(recorded, file):
    file.write_text('{"id": "a", "text": "old"}')
    before = reply_to(recorded()).text
    file.write_text('{"id": "a", "text": "new"}')
    os.utime(file, ns=(0, 0))
    assert (before, reply_to(recorded()).text) == ("old", "new")


def test_a_case_without_a_line_is_refused_by_name(recorded, file):
    file.write_text('{"id": "a", "text": "one"}')
    with pytest.raises(RequestRejected, match=r'replies\.jsonl has no reply for case "z"'):
        reply_to(recorded("z"))


def test_a_file_with_other_ids_names_some_of_them(recorded, file):
    file.write_text("".join(f'{{"id": "x{n}", "text": "one"}}\n' for n in range(9)))
    with pytest.raises(RequestRejected, match='no reply for case "z"; it has x0, x1, x2, …'):
        reply_to(recorded("z"))


@every_row(
    ("line", "said"),
    [
        ('{"id": "b", "output": "two"}', r"has id, output: write columns: \{reply: output\} in"),
        ("{text}", r"replies\.jsonl:2: not JSON"),
        ('{"id": "b"}', r"replies\.jsonl:2: a recorded reply is \{"),
        ('["b", "two"]', r"replies\.jsonl:2: a recorded reply is \{"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(recorded, file, line, said):
    file.write_text(f'{{"id": "a", "text": "one"}}\n{line}\n')
    with pytest.raises(ConfigurationError, match=said):
        reply_to(recorded())


@pytest.mark.parametrize("mode", ["auto", "fresh", "recorded"])
def test_recorded_replies_are_given_in_every_mode_and_never_kept(
    recorded, file, cache, open_cache, mode
):
    file.write_text('{"id": "a", "text": "one"}')
    call = recorded()
    engine = Engine(cache, {}, replies=mode)
    answers = engine.wait([call])
    engine.close()
    assert answers == {call.fingerprint: Reply(text="one")}
    assert open_cache().replies([call.fingerprint]) == {}


def test_a_file_that_changes_under_a_run_is_reported(recorded, file):
    long = "a long reply " * 10
    file.write_text(f'{{"id": "a", "text": "{long}"}}\n{{"id": "b", "text": "{long}"}}\n')
    with RecordedReplies() as files:
        assert files.reply(recorded("b")).text == long
        file.write_text('{"id": "a", "text": "short"}\n')
        with pytest.raises(
            ConfigurationError, match=r"replies\.jsonl has changed since it was read"
        ):
            files.reply(recorded("b"))


def test_lines_that_change_places_under_a_run_are_not_taken_for_each_other(recorded, file):
    texts = {key: f"{key} " * 50 for key in ("a", "b")}
    lines = [json.dumps({"id": key, "text": text}) for key, text in texts.items()]
    file.write_text("\n".join(lines))
    with RecordedReplies() as files:
        files._index(file)
        file.write_text("\n".join(reversed(lines)))
        with pytest.raises(ConfigurationError, match="has changed since it was read; run again"):
            files.reply(recorded("a"))


def test_a_file_that_goes_away_under_a_run_is_an_error_of_the_request(recorded, file, cache):
    file.write_text(json.dumps({"id": "a", "text": "long " * 50}))
    call = recorded()
    with RecordedReplies() as files:
        files._index(file)
        file.unlink()
        assert "cannot be read" in str(files.reply_or_error(call))


def test_more_files_are_read_than_a_process_may_have_open(recorded, tmp_path):
    def answered(number: int) -> str:
        path = tmp_path / f"{number}.jsonl"
        path.write_text(json.dumps({"id": "a", "text": f"{number} " * 50}))
        return files.reply(replace(recorded(), replies=path)).text

    with RecordedReplies() as files, few_open_files():
        assert [answered(n).split()[0] for n in range(60)] == [str(n) for n in range(60)]


@contextmanager
def few_open_files():
    """Allow this process a handful of files more than it has."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(one.name) for one in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_file_is_forgotten_after_its_last_reply_and_read_again_if_asked(recorded, file):
    file.write_text("".join(f'{{"id": "{case}", "text": "{case}"}}\n' for case in "aab"))
    files, kept, texts = RecordedReplies(), [], []
    for case, repeat in (("a", 0), ("a", 1), ("b", 0), ("a", 1)):
        with files:
            texts.append(files.reply(replace(recorded(case), repeat=repeat)).text)
        kept.append(file in files._files)

    assert texts == ["a", "a", "b", "a"]
    assert kept == [True, True, False, True]


def test_a_broken_file_is_read_once(recorded, file, monkeypatch):
    file.write_text('{"id": "a", "text": "a"}\n{"id": "b"}\n')
    reads, read = [], recorded_module._read_index
    monkeypatch.setattr(
        recorded_module, "_read_index", lambda path: reads.append(path) or read(path)
    )
    files = RecordedReplies()

    errors = [str(files.reply_or_error(recorded(case))) for case in "ab"]

    assert errors == [errors[0]] * 2
    assert errors[0].startswith(f"{file.name}:2: ")
    assert reads == [file]


def test_long_replies_are_read_from_a_file_that_was_closed_meanwhile(recorded, file):
    texts = {key: f"{key} " * 50 for key in ("a", "b")}
    file.write_text("\n".join(json.dumps({"id": key, "text": texts[key]}) for key in texts))
    files = RecordedReplies()
    for key, text in texts.items():
        with files:
            assert files.reply(recorded(key)).text == text


def test_a_missing_file_is_an_error_of_the_request(recorded, cache):
    call = recorded()
    engine = Engine(cache, {})
    answer = engine.wait([call])[call.fingerprint]
    engine.close()
    assert "replies.jsonl" in str(answer)
    assert not isinstance(answer, Reply)


def test_a_line_may_state_the_score_of_the_reply(file, recorded):
    file.write_text('{"id": "a", "text": "x", "score": true}\n{"id": "b", "text": "y"}\n', "utf-8")

    assert [reply_to(recorded(case)).score for case in ("a", "b")] == [1.0, None]


def test_a_score_above_one_is_an_error_at_its_line(file, recorded):
    file.write_text('{"id": "a", "text": "x", "score": 7}\n', "utf-8")

    with pytest.raises(ConfigurationError, match=r"replies\.jsonl:1: the score is 7; a score is 0"):
        reply_to(recorded())


def test_null_is_no_reply_as_tools_write_it_beside_an_error(recorded, file):
    file.write_text('{"id": "a", "text": null, "error": "503"}\n{"id": "b", "text": "two"}\n')
    with pytest.raises(RequestRejected, match=r'no reply for case "a"; it has b'):
        reply_to(recorded())
    assert reply_to(recorded("b")).text == "two"


def test_a_reply_that_is_no_text_is_read_as_json(recorded, file):
    file.write_text('{"id": "a", "text": {"label": "billing"}}')
    assert reply_to(recorded()).text == '{"label": "billing"}'


@every_row(
    ("usage", "named"),
    [
        ('{"input": 3, "output_tokens": 9}', "output_tokens: 9"),
        ('{"input": -1}', "input: -1"),
        ('{"input": "3"}', "input: '3'"),
        ('{"input": true}', "input: True"),
        ("12", "usage: 12"),
    ],
)
def test_tokens_of_another_form_are_an_error_with_their_line(recorded, file, usage, named):
    file.write_text(f'{{"id": "a", "text": "one", "usage": {usage}}}')
    with pytest.raises(ConfigurationError, match="jsonl:1: usage: ") as error:
        reply_to(recorded())
    assert named in str(error.value)


@every_row("usage", ["{}", '{"input": 3}', '{"output": 7}', '{"cache_read": 3}'])
def test_tokens_of_one_kind_alone_are_not_taken_for_all(recorded, file, usage):
    file.write_text(f'{{"id": "a", "text": "one", "usage": {usage}}}')
    assert reply_to(recorded()).usage == Reply(text="").usage
