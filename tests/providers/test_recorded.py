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


ONE = '{"id": "a", "text": "one"}'
KNOWN = {"stop": "length", "model": "m-1", "seconds": 0.5, "usage": {"input": 3, "output": 7}}
FULL = {"id": "a", "text": "one", **KNOWN, "thought": "hm", "trace": "not ours"}
#: (the lines of the file, the case, its reply)
READ = [
    (f'{ONE}\n\n{{"id": "b", "text": "two"}}\n', "b", Reply(text="two")),
    (json.dumps(FULL), "a", Reply(text="one", **KNOWN, thought="hm")),
    ('{"id": 17, "text": "one"}', "17", Reply(text="one")),
    # Half a character is replaced, and a line separator breaks no line.
    ('{"id": "a\\ud83d", "text": "so far \\ud83d"}', "a\ufffd", Reply(text="so far \ufffd")),
    ('{"id": "a", "text": "1\u20282\x853"}\r\n', "a", Reply(text="1\u20282\x853")),
    ('{"id": "a", "text": {"label": "b"}}', "a", Reply(text='{"label": "b"}')),
    ('{"id": "a", "text": "x", "score": true}', "a", Reply(text="x", score=1.0)),
    # What tools write beside an error is no reply, and hides no other.
    (f'{{"id": "b", "text": null, "error": "503"}}\n{ONE}\n', "a", Reply(text="one")),
    # Tokens of one kind alone are not taken for all.
    *(
        (f'{{"id": "a", "text": "one", "usage": {usage}}}', "a", Reply(text="one"))
        for usage in ("{}", '{"input": 3}', '{"output": 7}', '{"cache_read": 3}')
    ),
]


@every_row(("lines", "case", "reply"), READ)
def test_a_case_is_answered_by_the_line_with_its_id(recorded, file, lines, case, reply):
    file.write_text(lines, "utf-8")

    assert reply_to(recorded(case)) == reply


NINE = "".join(f'{{"id": "x{n}", "text": "one"}}\n' for n in range(9))
NULL = '{"id": "z", "text": null, "error": "503"}\n{"id": "b", "text": "two"}\n'
OUTPUT = r"has id, output: write columns: \{reply: output\} in"
#: Tokens of another form, and what is named of them.
USAGES = {'{"input": 3, "output_tokens": 9}': "output_tokens: 9", '{"input": -1}': "input: -1"}
USAGES |= {'{"input": "3"}': "input: '3'", '{"input": true}': "input: True", "12": "usage: 12"}
#: (the lines of the file, the error to a case that has no reply there, what it says)
REFUSED = [
    (ONE, RequestRejected, r'replies\.jsonl has no reply for case "z"'),
    (NINE, RequestRejected, 'no reply for case "z"; it has x0, x1, x2, …'),
    (NULL, RequestRejected, 'no reply for case "z"; it has b'),
    (f'{ONE}\n{{"id": "b", "output": "two"}}', ConfigurationError, OUTPUT),
    (f"{ONE}\n{{text}}", ConfigurationError, r"replies\.jsonl:2: not JSON"),
    (f'{ONE}\n{{"id": "b"}}', ConfigurationError, r"replies\.jsonl:2: a recorded reply is \{"),
    (f'{ONE}\n["b", "two"]', ConfigurationError, r"replies\.jsonl:2: a recorded reply is \{"),
    (
        '{"id": "z", "text": "x", "score": 7}',
        ConfigurationError,
        "jsonl:1: the score is 7; a score",
    ),
    ('{"id": "z", "text": "x", "score": NaN}', ConfigurationError, "jsonl:1: .* NaN is no number"),
    *(
        (f'{{"id": "z", "text": "x", "usage": {usage}}}', ConfigurationError, f"1: usage: {named}")
        for usage, named in USAGES.items()
    ),
]


@every_row(("lines", "error", "said"), REFUSED)
def test_a_case_without_a_line_or_with_a_line_that_cannot_be_read_is_refused(
    recorded, file, lines, error, said
):
    file.write_text(lines)
    with pytest.raises(error, match=said):
        reply_to(recorded("z"))


def test_an_edited_file_is_read_again(recorded, file):
    file.write_text('{"id": "a", "text": "old"}')
    before = reply_to(recorded()).text
    file.write_text('{"id": "a", "text": "new"}')
    os.utime(file, ns=(0, 0))
    assert (before, reply_to(recorded()).text) == ("old", "new")


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


LONG = [json.dumps({"id": key, "text": f"{key} " * 50}) for key in "ab"]


@every_row(
    ("later", "told"),
    [
        (LONG[::-1], r"replies\.jsonl has changed since it was read; run again"),
        (['{"id": "a", "text": "short"}'] * 2, r"replies\.jsonl has changed since it was read"),
        (None, "the recorded replies cannot be read"),
    ],
)
def test_a_file_that_changes_or_goes_away_under_a_run_is_reported(recorded, file, later, told):
    file.write_text("\n".join(LONG))
    with RecordedReplies() as files:
        files._index(file)
        if later is None:
            file.unlink()
        else:
            file.write_text("\n".join(later))
        with pytest.raises(ConfigurationError, match=told):
            files.reply(recorded("b"))


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
    texts = [("a", "first " * 50), ("a", "second " * 50), ("b", "third " * 50)]
    file.write_text("".join(json.dumps({"id": key, "text": text}) + "\n" for key, text in texts))
    files, kept, found = RecordedReplies(), [], []
    for asked in ([("a", 0), ("a", 1)], [("b", 0)], [("a", 1)]):
        with files:
            for case, repeat in asked:
                found.append(files.reply(replace(recorded(case), repeat=repeat)).text.split()[0])
        kept.append(file in files._files)

    assert found == ["first", "second", "third", "second"]
    assert kept == [True, False, True]


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


def test_a_missing_file_is_an_error_of_the_request(recorded):
    assert "replies.jsonl" in str(RecordedReplies().reply_or_error(recorded()))
