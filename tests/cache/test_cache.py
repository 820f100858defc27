"""Replies on disk, under every way that a run can end."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp

import pytest

from pytest_ftgate.cache import sqlite as module
from pytest_ftgate.cache.entry import Entry
from pytest_ftgate.cache.export import read_replies
from pytest_ftgate.errors import LedgerError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Adapter

REMEDY = "move it away, or name another file with --ftgate-ledger"
OPEN = """
import sys, time
from pathlib import Path
from pytest_ftgate.cache.cache import Ledger
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Call
def opened():
    return Ledger(Path(sys.argv[1]), run="other", clock=time.time)
def call(name):
    asked = {"provider": "python", "model": "m", "messages": (), "max_tokens": 1, "sampling": {}}
    return Call(fingerprint=name, **asked)
"""
WRITE_MANY = """
print("ready", flush=True)
sys.stdin.readline()
ledger = opened()
for i in range(50):
    ledger.keep(call(f"{sys.argv[2]}-{i}"), Reply(text=str(i)))
ledger.close()
"""
WRITE_FOR_EVER = """
ledger, i = opened(), 0
while True:
    ledger.claim(f"{i}")
    ledger.keep(call(f"{i}"), Reply(text="x" * 2000))
    print(i, flush=True)
    i += 1
"""
WRITE_UNTIL_FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
ledger, asked = opened(), 0
try:
    for i in range(10_000):
        ledger.claim(f"{i:064x}")
        asked += 1
        ledger.keep(call(f"{i:064x}"), Reply(text="x" * 2000))
except Exception as error:
    print(asked)
    print(error)
try:
    ledger.claim("one more")
except Exception as error:
    print(error)
"""

#: The file as it was before the provider and the model of a reply were noted.
FIRST_FORMAT = """
CREATE TABLE replies (
    fingerprint TEXT PRIMARY KEY, run TEXT NOT NULL, at REAL NOT NULL, body TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE claims (fingerprint TEXT PRIMARY KEY, owner TEXT NOT NULL, at REAL NOT NULL)
    WITHOUT ROWID;
INSERT INTO replies VALUES ('f', 'run-0', 12.5, '{"text": "old"}');
"""


@pytest.fixture
def keep(call):
    """Keep the replies to calls that are named by their text; return their fingerprints."""

    def kept(ledger, *texts, said="fine"):
        for text in texts:
            ledger.keep(call(text), Reply(text=said))
        return [call(text).fingerprint for text in texts]

    return kept


def one_word(process: subprocess.Popen[str]) -> str:
    return process.stdout.readline().strip()


def go(process: subprocess.Popen[str]) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


def test_what_was_kept_is_there_when_the_file_is_opened_again(ledger, open_ledger, call):
    reply = Reply(text="ja", usage={"input": 3}, model="m")
    ledger.keep(call("f"), reply)
    ledger.close()
    name = call("f").fingerprint
    assert open_ledger("run-2").replies([name, "g"]) == {name: reply}


def test_more_replies_than_a_statement_has_room_for_are_found(ledger, keep):
    wanted = keep(ledger, *map(str, range(1203)))
    assert ledger.replies(wanted).keys() == set(wanted)
    assert len(ledger.made(wanted)) == len(ledger.entries(wanted)) == 1203


def test_replies_of_this_run_are_told_from_older_ones(open_ledger, keep):
    old = keep(open_ledger("run-1"), "old")
    now = open_ledger("run-2")
    new = keep(now, "new")
    assert [*now.replies(old + new, this_run=True)] == new


def test_a_reply_kept_again_takes_the_place_of_the_old_one_and_joins_this_run(open_ledger, keep):
    keep(open_ledger("run-1"), "f", said="old")
    now = open_ledger("run-2")
    (name,) = keep(now, "f", said="new")
    assert now.replies([name], this_run=True) == {name: Reply(text="new")}


def test_what_answered_is_noted_by_a_name_that_means_the_same_elsewhere(ledger, call, tmp_path):
    adapter = Adapter(path=tmp_path / "tickets.gguf", scale=1.0, sha256="0")
    calls = [
        call("a", model="meta/llama-3"),
        call("b", model="", function="app:answer"),
        call("c", model=str(tmp_path / "small.gguf"), adapter=adapter),
    ]
    for one in calls:
        ledger.keep(one, Reply(text=""))
    noted = {
        entry.fingerprint: entry.model for entry in ledger.entries(c.fingerprint for c in calls)
    }
    assert [noted[one.fingerprint] for one in calls] == [
        "meta/llama-3",
        "app:answer",
        "small.gguf + tickets.gguf",
    ]


def test_an_older_file_is_brought_to_the_shape_of_this_version(tmp_path, open_ledger, keep):
    with closing(sqlite3.connect(tmp_path / "replies.sqlite")) as db:
        db.executescript(FIRST_FORMAT)
    ledger = open_ledger()
    assert ledger.entries(["f"]) == [
        Entry(fingerprint="f", run="run-0", at=12.5, provider="", model="", reply=Reply(text="old"))
    ]
    assert ledger.replies(keep(ledger, "new"))


def test_a_file_of_a_later_version_is_refused_and_left_as_it_is(ledger, open_ledger, keep):
    keep(ledger, "f")
    ledger.close()
    with closing(sqlite3.connect(ledger.path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = ledger.path.read_bytes()
    with pytest.raises(LedgerError, match="its format 99 is newer than this version reads"):
        open_ledger()
    assert ledger.path.read_bytes() == before


def test_processes_that_open_and_write_at_once_lose_nothing(ledger, start_python):
    names = "abcd"
    writers = [start_python(OPEN + WRITE_MANY, str(ledger.path), name) for name in names]
    assert [one_word(writer) for writer in writers] == ["ready"] * 4
    for writer in writers:
        go(writer)
    assert [writer.wait(30) for writer in writers] == [0] * 4
    assert len(ledger.replies(f"{name}-{i}" for name in names for i in range(50))) == 200


def test_the_first_openers_of_a_file_do_not_get_in_each_others_way(tmp_path, start_python):
    path = str(tmp_path / "new" / "replies.sqlite")
    writers = [start_python(OPEN + WRITE_MANY, path, name) for name in "abcd"]
    assert [one_word(writer) for writer in writers] == ["ready"] * 4
    for writer in writers:
        go(writer)
    assert [writer.wait(30) for writer in writers] == [0] * 4


def test_opening_waits_for_another_process_that_opens_a_new_file(
    open_ledger, tmp_path, monkeypatch
):
    path = tmp_path / "replies.sqlite"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE early (a)")
    other.execute("BEGIN IMMEDIATE")
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        other.close()

    monkeypatch.setattr(module.time, "sleep", pause)
    ledger = open_ledger(path=path)
    assert len(pauses) == 1
    assert ledger.claim("f")


def test_a_killed_process_leaves_every_reply_that_it_had_kept(
    tmp_path, open_ledger, start_python, keep
):
    path = tmp_path / "replies.sqlite"
    writer = start_python(OPEN + WRITE_FOR_EVER, str(path))
    kept = [one_word(writer) for _ in range(30)]
    writer.send_signal(signal.SIGKILL)
    kept += writer.communicate()[0].split()[:-1]
    ledger = open_ledger(path=path)
    assert set(ledger.replies(kept)) == set(kept)
    assert ledger.replies(keep(ledger, "the file can be written too"))


def test_the_folder_of_a_ledger_keeps_itself_out_of_git(open_ledger, tmp_path):
    open_ledger(path=tmp_path / "new" / "deep" / "replies.sqlite")
    assert (tmp_path / "new" / "deep" / ".gitignore").read_text() == "*\n"


def test_a_gitignore_of_the_user_is_left_alone(open_ledger, tmp_path):
    (tmp_path / ".gitignore").write_text("*.log\n")
    open_ledger()
    assert (tmp_path / ".gitignore").read_text() == "*.log\n"


def test_a_file_that_is_not_named_like_a_ledger_is_never_put_aside(open_ledger, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("remember the milk\n" * 100)
    with pytest.raises(LedgerError, match=r"notes\.txt cannot be used: .*not a database") as caught:
        open_ledger(path=path)
    assert REMEDY in str(caught.value)
    assert [one.name for one in tmp_path.iterdir()] == ["notes.txt"]


# A full disk


@pytest.fixture
def full(start_python, tmp_path, monkeypatch):
    """Return what a process said that kept replies until its disk was full."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    process = start_python(OPEN + WRITE_UNTIL_FULL, str(tmp_path / "replies.sqlite"))
    return process.communicate(timeout=60)[0].splitlines()


needs_limits = pytest.mark.skipif(sys.platform == "win32", reason="files cannot be limited there")


@needs_limits
def test_a_reply_that_the_disk_has_no_room_for_is_set_aside_and_can_be_brought_back(
    full, open_ledger, tmp_path
):
    asked, told, _ = full
    (aside,) = tmp_path.glob("ftgate-*/unkept.replies.jsonl")
    ledger = open_ledger()
    kept = ledger.replies(f"{i:064x}" for i in range(int(asked)))
    assert "cannot be written: disk I/O error; nothing more is asked; 1 reply came" in told
    assert told.endswith(f"once it can be written again: pytest-ftgate ledger import {aside}")
    assert aside.parent.stat().st_mode & 0o077 == 0
    assert len(kept) == int(asked) - 1
    assert ledger.add([*read_replies(aside, "aside").values()]) == 1
    assert len(ledger.replies(f"{i:064x}" for i in range(int(asked)))) == int(asked)


@needs_limits
def test_nothing_more_is_asked_once_a_reply_could_not_be_kept(full):
    _, told, refused = full
    assert refused == told


# A folder that cannot be written


@pytest.fixture
def lock():
    """Give a folder, and what makes it read-only to someone whom permissions hold back."""
    folder = Path(mkdtemp())
    folder.chmod(0o755)
    is_root = os.geteuid() == 0

    def locked() -> Path:
        folder.chmod(0o555)
        if is_root:
            os.seteuid(65534)
        return folder

    yield folder, locked
    if is_root:
        os.seteuid(0)
    folder.chmod(0o755)
    shutil.rmtree(folder)


needs_locks = pytest.mark.skipif(
    sys.platform == "win32", reason="folders cannot be made read-only there"
)


@needs_locks
@pytest.mark.parametrize("name", ["replies.sqlite", "new/replies.sqlite"])
def test_a_folder_that_cannot_be_written_is_an_error_with_its_remedy(open_ledger, lock, name):
    with pytest.raises(LedgerError, match=REMEDY):
        open_ledger(path=lock[1]() / name)


@needs_locks
def test_a_file_that_cannot_be_written_is_an_error_before_anything_is_asked(
    open_ledger, lock, keep
):
    ledger = open_ledger(path=lock[0] / "replies.sqlite")
    keep(ledger, "f")
    ledger.close()
    with pytest.raises(LedgerError, match=REMEDY):
        open_ledger(path=lock[1]() / "replies.sqlite")


@needs_locks
@pytest.mark.parametrize("name", ["replies.sqlite", "new/replies.sqlite"])
def test_what_asks_nothing_needs_no_folder_that_can_be_written(open_ledger, lock, name):
    assert open_ledger(path=lock[1]() / name, recorded=True).replies(["f"]) == {}


@needs_locks
def test_replies_are_read_from_a_folder_that_cannot_be_written_even_after_a_kill(
    open_ledger, lock, start_python
):
    path = lock[0] / "replies.sqlite"
    writer = start_python(OPEN + WRITE_FOR_EVER, str(path))
    kept = [one_word(writer) for _ in range(30)]
    writer.kill()
    writer.wait()
    lock[1]()
    # The log that the kill left behind holds replies that are not in the file yet.
    ledger = open_ledger(path=path, recorded=True)
    assert set(ledger.replies(kept)) == set(kept)


def test_a_ledger_where_a_folder_lies_is_an_error_with_its_remedy(open_ledger, tmp_path):
    with pytest.raises(LedgerError, match=REMEDY):
        open_ledger(path=tmp_path)


# What lies beside it


def test_replies_from_beside_are_used_where_the_file_has_none(open_ledger, call, keep):
    ledger = open_ledger("run-1")
    both = keep(ledger, "both")
    entry = {"run": "run-0", "at": 1.0, "provider": "p", "model": "m", "reply": Reply(text="lent")}
    lent = {name: Entry(fingerprint=name, **entry) for name in [*both, "lent"]}
    wanted = [*both, "lent", "none"]
    lending = open_ledger("run-2", beside=lent)
    assert {k: r.text for k, r in lending.replies(wanted).items()} == {
        both[0]: "fine",
        "lent": "lent",
    }
    assert lending.made(wanted)[0] == (1.0, "run-0")
    assert {one.fingerprint for one in lending.entries(wanted)} == {*both, "lent"}


def test_a_fresh_run_does_not_use_replies_from_beside(open_ledger):
    entry = Entry(
        fingerprint="f", run="run-1", at=1.0, provider="", model="", reply=Reply(text="lent")
    )
    assert open_ledger("run-1", beside={"f": entry}).replies(["f"], this_run=True) == {}


def test_the_latest_replies_of_a_model_are_found_by_the_name_its_server_gives_it(open_ledger, call):
    ledger = open_ledger()
    names = ("haiku", "haiku-20251001", "haiku-5", None, "haiku")
    for number, model in enumerate(names):
        ledger.keep(call(f"{number}"), Reply(text=str(number), model=model))

    assert [reply.text for reply in ledger.of_model("haiku")] == ["4", "1", "0"]
    assert [reply.text for reply in ledger.of_model("haiku", most=1)] == ["4"]
    assert ledger.of_model("other") == []
