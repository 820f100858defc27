"""Replies as a file: the same bytes each time, and every error of a file with its line."""

from __future__ import annotations

import json
import random

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.cache.export import read_replies, write_replies
from pytest_ftgate.cache.sqlite import CacheEntry
from pytest_ftgate.errors import SuiteError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Passage, Step, ToolCall
from pytest_ftgate.suite.model import digest

NAME = "tickets.replies.jsonl"
FULL = Reply(
    text="Grüße\n\u2028\U0001f600 \ud83d",
    stop="length",
    model="m-1",
    usage={"input": 3},
    seconds=0.25,
    steps=(Step("", (ToolCall(name="look", arguments={"id": "7"}, result="none"),)),),
    passages=(Passage(source="a.md", text="b"),),
    unsent=("temperature",),
    facts={"parent": "p"},
)


def entry(number: int, reply: Reply = FULL) -> CacheEntry:
    return CacheEntry(
        fingerprint=digest(number), run="run-1", at=1.25, provider="p", model="m", reply=reply
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / NAME


@pytest.fixture
def errors(path):
    """Write three replies, change one line, and return what is said of the file."""

    def told(number: int, line: str) -> list[str]:
        write_replies(path, "tickets.ftgate.yaml", map(entry, range(3)))
        lines = path.read_text("utf-8").splitlines()
        lines[number - 1] = line
        path.write_text("\n".join(lines) + "\n", "utf-8")
        with pytest.raises(SuiteError) as caught:
            read_replies(path, NAME)
        return [str(error) for error in caught.value.errors]

    return told


def changed(**changes) -> str:
    """Return a line of a file with other values; a value of None is left out."""
    line = {"fingerprint": "a" * 64, "run": "r", "at": 1.0, "provider": "p", "model": "m"}
    line |= {"reply": {"text": "hi"}, **changes}
    return json.dumps({key: value for key, value in line.items() if value is not None})


def test_replies_come_back_as_they_were_and_make_the_same_file_in_whatever_order(path):
    assert read_replies(path, NAME) == {}
    entries = [entry(number) for number in range(20)]
    write_replies(path, "s", entries)
    before = path.read_bytes()
    assert read_replies(path, NAME) == {one.fingerprint: one for one in entries}
    random.Random(1).shuffle(entries)
    write_replies(path, "s", entries)
    assert path.read_bytes() == before
    # As on another platform.
    path.write_bytes(before.replace(b"\n", b"\r\n"))
    assert len(read_replies(path, NAME)) == 20


def test_the_first_line_says_what_the_file_is(path):
    write_replies(path, "a/tickets.ftgate.yaml", map(entry, range(3)))
    told = {"format": 1, "suite": "a/tickets.ftgate.yaml", "replies": 3}
    assert path.read_text("utf-8").splitlines()[0] == head(**told)


def of_reply(**keys) -> str:
    return changed(reply=keys)


NO_OBJECT, NO_TIME = "not an object in JSON", "at must be a number of seconds"
NO_NUMBERS = "seconds and usage must be numbers"


@every_row(
    ("line", "wrong"),
    [
        *((line, NO_OBJECT) for line in ('{"fingerprint": "', "<<<<<<< HEAD", "", "[1]")),
        ("[" * 100_000, NO_OBJECT),
        (changed(fingerprint="../../etc/passwd"), "fingerprint must be 64 hexadecimal digits"),
        (changed(fingerprint=None), "fingerprint must be text"),
        (changed(run=7), "run must be text"),
        *((changed(at=at), NO_TIME) for at in ("now", float("nan"), True)),
        (changed(reply=None), "reply must be an object"),
        (changed(reply={}), 'a reply is an object with "text"'),
        (of_reply(text=5), "text cannot be 5"),
        (of_reply(text="a", usage=[1]), "usage cannot be [1]"),
        (of_reply(text="a", usage={"input": "1"}), NO_NUMBERS),
        (of_reply(text="a", seconds=True), NO_NUMBERS),
        (of_reply(text="a", facts="x"), 'facts cannot be "x"'),
        (of_reply(text="a", steps=[1]), "no reply: TypeError"),
        (of_reply(text="a", steps=[{"calls": [{"x": 1}]}]), "no reply: TypeError"),
        (of_reply(text="a", passages=[{"source": "s"}]), "no reply: TypeError"),
    ],
)
def test_a_line_that_holds_no_reply_is_an_error_with_its_number(errors, line, wrong):
    (error,) = errors(3, line)
    assert error.startswith(f"{NAME}:3: no reply: ")
    assert wrong in error
    assert error.endswith("; restore the line, or export the file again")


def test_a_reply_that_is_there_twice_is_an_error(errors, path):
    write_replies(path, "tickets.ftgate.yaml", map(entry, range(3)))
    (error,) = errors(4, path.read_text("utf-8").splitlines()[1])
    assert "tickets.replies.jsonl:4: fingerprint " in error
    assert "is here twice" in error


def head(**keys) -> str:
    return json.dumps({"about": "replies kept by pytest-ftgate", **keys})


NO_FILE = "no file of replies; write one with pytest-ftgate cache export"
NEWER = "format 2 is newer than this version reads; upgrade"
TOO_FEW = "9 replies are announced, 3 are here; export the file again"


@every_row(
    ("first", "wrong"),
    [
        ("{}", NO_FILE),
        ("hello", NO_FILE),
        (head(format=2, replies=3), NEWER),
        (head(format=1, replies=9), TOO_FEW),
    ],
)
def test_a_first_line_that_does_not_fit_is_an_error(errors, first, wrong):
    assert errors(1, first) == [f"{NAME}:1: {wrong}"]


def test_all_errors_are_told_at_once(path):
    path.write_text("hello\n1\n\n{}\n", "utf-8")
    with pytest.raises(SuiteError) as caught:
        read_replies(path, NAME)
    assert [error.line for error in caught.value.errors] == [1, 2, 3, 4]


def test_bytes_that_are_no_text_are_an_error(path):
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SuiteError, match=r"tickets\.replies\.jsonl: cannot be read: .*utf-8"):
        read_replies(path, NAME)
