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
from pytest_ftgate.cache.export import read_replies
from pytest_ftgate.cache.sqlite import Batch, CacheEntry
from pytest_ftgate.errors import CacheError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Adapter

REMEDY = "move it away, or name another file with --ftgate-cache"
OPEN = """
import sys, time
from pathlib import Path
from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request
def opened():
    return Cache(Path(sys.argv[1]), run="other", clock=time.time)
def call(name):
    asked = {"provider": "python", "model": "m", "messages": (), "max_tokens": 1, "sampling": {}}
    return Request(fingerprint=name, **asked)
"""
WRITE_MANY = """
print("ready", flush=True)
sys.stdin.readline()
cache = opened()
for i in range(50):
    cache.store(call(f"{sys.argv[2]}-{i}"), Reply(text=str(i)))
cache.close()
"""
WRITE_FOR_EVER = """
cache, i = opened(), 0
while True:
    cache.claim(f"{i}")
    cache.store(call(f"{i}"), Reply(text="x" * 2000))
    print(i, flush=True)
    i += 1
"""
WRITE_UNTIL_FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
cache, asked = opened(), 0
try:
    for i in range(10_000):
        cache.claim(f"{i:064x}")
        asked += 1
        cache.store(call(f"{i:064x}"), Reply(text="x" * 2000))
except Exception as error:
    print(asked)
    print(error)
try:
    cache.claim("one more")
except Exception as error:
    print(error)
"""

#: The file as it was before the provider and the model of a reply were noted.
FIRST_FORMAT = """
CREATE TABLE claims (fingerprint TEXT PRIMARY KEY, owner TEXT NOT NULL, at REAL NOT NULL)
    WITHOUT ROWID;
CREATE TABLE replies (
    fingerprint TEXT NOT NULL UNIQUE, run TEXT NOT NULL, at REAL NOT NULL, body TEXT NOT NULL,
    provider TEXT NOT NULL DEFAULT '', model TEXT NOT NULL DEFAULT ''
);
CREATE TABLE batches (
    key TEXT PRIMARY KEY, id TEXT, address TEXT NOT NULL, at REAL NOT NULL, calls TEXT NOT NULL,
    unsent TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO replies VALUES ('f', 'run-0', 12.5, '{"text": "old"}', '', '');
INSERT INTO batches VALUES ('k', 'b-1', 'here', 12.5, 'f g', '{}');
PRAGMA user_version = 1;
"""


@pytest.fixture
def store(call):
    """Store the replies to calls that are named by their text; return their fingerprints."""

    def stored(cache, *texts, said="fine"):
        for text in texts:
            cache.store(call(text), Reply(text=said))
        return [call(text).fingerprint for text in texts]

    return stored


def one_word(process: subprocess.Popen[str]) -> str:
    return process.stdout.readline().strip()


def go(process: subprocess.Popen[str]) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


def test_what_was_stored_is_there_when_the_file_is_opened_again(cache, open_cache, call):
    reply = Reply(text="ja", usage={"input": 3}, model="m")
    cache.store(call("f"), reply)
    cache.close()
    name = call("f").fingerprint
    assert open_cache("run-2").replies([name, "g"]) == {name: reply}


def test_more_replies_than_a_statement_has_room_for_are_found(cache, store):
    wanted = store(cache, *map(str, range(1203)))
    assert cache.replies(wanted).keys() == set(wanted)
    assert len(cache.origins(wanted)) == len(cache.entries(wanted)) == 1203


def test_replies_of_this_run_are_told_from_older_ones(open_cache, store):
    old = store(open_cache("run-1"), "old")
    now = open_cache("run-2")
    new = store(now, "new")
    assert [*now.replies(old + new, this_run=True)] == new


def test_a_reply_stored_again_takes_the_place_of_the_old_one_and_joins_this_run(open_cache, store):
    store(open_cache("run-1"), "f", said="old")
    now = open_cache("run-2")
    (name,) = store(now, "f", said="new")
    assert now.replies([name], this_run=True) == {name: Reply(text="new")}


def test_what_answered_is_noted_by_a_name_that_means_the_same_elsewhere(cache, call, tmp_path):
    adapter = Adapter(path=tmp_path / "tickets.gguf", scale=1.0, sha256="0")
    calls = [
        call("a", model="meta/llama-3"),
        call("b", model="", function="app:answer"),
        call("c", model=str(tmp_path / "small.gguf"), adapter=adapter),
    ]
    for one in calls:
        cache.store(one, Reply(text=""))
    noted = {
        entry.fingerprint: entry.model for entry in cache.entries(c.fingerprint for c in calls)
    }
    assert [noted[one.fingerprint] for one in calls] == [
        "meta/llama-3",
        "app:answer",
        "small.gguf + tickets.gguf",
    ]


def test_batches_of_the_first_format_are_still_waited_for(tmp_path, open_cache, store):
    with closing(sqlite3.connect(tmp_path / "replies.sqlite")) as db:
        db.executescript(FIRST_FORMAT)
    cache = open_cache()
    batch = Batch(key="k", id="b-1", address="here", at=12.5, fingerprints=("f", "g"))
    assert cache.batches.sent_to("here") == [batch]
    assert cache.replies(["f"]) == {"f": Reply(text="old")}
    assert cache.replies(store(cache, "new"))


NEWER = "its format 99 is newer than this version reads"


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_a_file_of_a_later_version_is_refused_and_left_as_it_is(
    cache, open_cache, store, tmp_path, journal, recorded
):
    store(cache, "f")
    cache.close()
    with closing(sqlite3.connect(cache.path)) as db:
        db.execute("PRAGMA user_version = 99")
        db.execute(f"PRAGMA journal_mode = {journal}")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(CacheError, match=NEWER):
        open_cache(recorded=recorded)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_comes_after_a_newer_version_took_the_file_over_is_put_aside(cache, store):
    store(cache, "f")
    with closing(sqlite3.connect(cache.path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(CacheError, match=NEWER) as caught:
        store(cache, "g")
    with closing(sqlite3.connect(cache.path)) as db:
        assert db.execute("SELECT count(*) FROM replies").fetchone() == (1,)
    aside = Path(str(caught.value).rpartition(" ")[2])
    assert len(read_replies(aside, aside.name)) == 1
    with pytest.raises(CacheError, match="sends no more requests"):
        cache.claim("h")


# Several processes


def test_processes_that_open_and_write_at_once_lose_nothing(cache, start_python):
    names = "abcd"
    writers = [start_python(OPEN + WRITE_MANY, str(cache.path), name) for name in names]
    assert [one_word(writer) for writer in writers] == ["ready"] * 4
    for writer in writers:
        go(writer)
    assert [writer.wait(30) for writer in writers] == [0] * 4
    assert len(cache.replies(f"{name}-{i}" for name in names for i in range(50))) == 200


def test_the_first_openers_of_a_file_do_not_get_in_each_others_way(tmp_path, start_python):
    path = str(tmp_path / "new" / "replies.sqlite")
    writers = [start_python(OPEN + WRITE_MANY, path, name) for name in "abcd"]
    assert [one_word(writer) for writer in writers] == ["ready"] * 4
    for writer in writers:
        go(writer)
    assert [writer.wait(30) for writer in writers] == [0] * 4


def test_opening_waits_for_another_process_that_opens_a_new_file(open_cache, tmp_path, monkeypatch):
    path = tmp_path / "replies.sqlite"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE early (a)")
    other.execute("BEGIN IMMEDIATE")
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        other.close()

    monkeypatch.setattr(module.time, "sleep", pause)
    cache = open_cache(path=path)
    assert len(pauses) == 1
    assert cache.claim("f")


def test_a_killed_process_leaves_every_reply_that_it_had_stored(
    tmp_path, open_cache, start_python, store
):
    path = tmp_path / "replies.sqlite"
    writer = start_python(OPEN + WRITE_FOR_EVER, str(path))
    stored = [one_word(writer) for _ in range(30)]
    writer.send_signal(signal.SIGKILL)
    stored += writer.communicate()[0].split()[:-1]
    cache = open_cache(path=path)
    assert set(cache.replies(stored)) == set(stored)
    assert cache.replies(store(cache, "the file can be written too"))


def test_the_folder_of_a_cache_keeps_itself_out_of_git(open_cache, tmp_path):
    open_cache(path=tmp_path / "new" / "deep" / "replies.sqlite")
    assert (tmp_path / "new" / "deep" / ".gitignore").read_text() == "*\n"


def test_a_gitignore_of_the_user_is_left_alone(open_cache, tmp_path):
    (tmp_path / ".gitignore").write_text("*.log\n")
    open_cache()
    assert (tmp_path / ".gitignore").read_text() == "*.log\n"


def test_a_file_that_is_not_named_like_a_cache_is_never_put_aside(open_cache, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("remember the milk\n" * 100)
    with pytest.raises(CacheError, match=r"notes\.txt cannot be used: .*not a database") as caught:
        open_cache(path=path)
    assert REMEDY in str(caught.value)
    assert [one.name for one in tmp_path.iterdir()] == ["notes.txt"]


# A full disk


@pytest.fixture
def full(start_python, tmp_path, monkeypatch):
    """Return what a process said that stored replies until its disk was full."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    process = start_python(OPEN + WRITE_UNTIL_FULL, str(tmp_path / "replies.sqlite"))
    return process.communicate(timeout=60)[0].splitlines()


needs_limits = pytest.mark.skipif(sys.platform == "win32", reason="files cannot be limited there")


@needs_limits
def test_a_reply_that_the_disk_has_no_room_for_is_set_aside_and_can_be_brought_back(
    full, open_cache, tmp_path
):
    asked, told, _ = full
    (aside,) = tmp_path.glob("ftgate-*/unstored.replies.jsonl")
    cache = open_cache()
    stored = cache.replies(f"{i:064x}" for i in range(int(asked)))
    assert "cannot be written: disk I/O error; the run sends no more requests; 1 reply came" in told
    assert told.endswith(f"once it can be written again: pytest-ftgate cache import {aside}")
    assert aside.parent.stat().st_mode & 0o077 == 0
    assert len(stored) == int(asked) - 1
    assert cache.add([*read_replies(aside, "aside").values()]) == 1
    assert len(cache.replies(f"{i:064x}" for i in range(int(asked)))) == int(asked)


@needs_limits
def test_nothing_more_is_asked_once_a_reply_could_not_be_stored(full):
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
def test_a_folder_that_cannot_be_written_is_an_error_with_its_remedy(open_cache, lock, name):
    with pytest.raises(CacheError, match=REMEDY):
        open_cache(path=lock[1]() / name)


@needs_locks
def test_a_file_that_cannot_be_written_is_an_error_before_anything_is_asked(
    open_cache, lock, store
):
    cache = open_cache(path=lock[0] / "replies.sqlite")
    store(cache, "f")
    cache.close()
    with pytest.raises(CacheError, match=REMEDY):
        open_cache(path=lock[1]() / "replies.sqlite")


@needs_locks
@pytest.mark.parametrize("name", ["replies.sqlite", "new/replies.sqlite"])
def test_what_asks_nothing_needs_no_folder_that_can_be_written(open_cache, lock, name):
    assert open_cache(path=lock[1]() / name, recorded=True).replies(["f"]) == {}


@needs_locks
def test_replies_are_read_from_a_folder_that_cannot_be_written_even_after_a_kill(
    open_cache, lock, start_python
):
    path = lock[0] / "replies.sqlite"
    writer = start_python(OPEN + WRITE_FOR_EVER, str(path))
    stored = [one_word(writer) for _ in range(30)]
    writer.kill()
    writer.wait()
    lock[1]()
    # The log that the kill left behind holds replies that are not in the file yet.
    cache = open_cache(path=path, recorded=True)
    assert set(cache.replies(stored)) == set(stored)


def test_a_cache_where_a_folder_lies_is_an_error_with_its_remedy(open_cache, tmp_path):
    with pytest.raises(CacheError, match=REMEDY):
        open_cache(path=tmp_path)


# Committed replies


def test_committed_replies_are_used_where_the_file_has_none(open_cache, call, store):
    cache = open_cache("run-1")
    both = store(cache, "both")
    entry = {
        "run": "run-0",
        "at": 1.0,
        "provider": "p",
        "model": "m",
        "reply": Reply(text="committed"),
    }
    committed = {name: CacheEntry(fingerprint=name, **entry) for name in [*both, "committed"]}
    wanted = [*both, "committed", "none"]
    now = open_cache("run-2", committed_replies=committed)
    assert {k: r.text for k, r in now.replies(wanted).items()} == {
        both[0]: "fine",
        "committed": "committed",
    }
    assert now.origins(wanted)[0] == (1.0, "run-0")
    assert {one.fingerprint for one in now.entries(wanted)} == {*both, "committed"}


def test_a_fresh_run_does_not_use_committed_replies(open_cache):
    entry = CacheEntry(
        fingerprint="f", run="run-1", at=1.0, provider="", model="", reply=Reply(text="committed")
    )
    assert open_cache("run-1", committed_replies={"f": entry}).replies(["f"], this_run=True) == {}


def test_the_latest_replies_of_a_model_are_found_by_the_name_its_server_gives_it(open_cache, call):
    cache = open_cache()
    names = ("haiku", "haiku-20251001", "haiku-5", None, "haiku")
    for number, model in enumerate(names):
        cache.store(call(f"{number}"), Reply(text=str(number), model=model))

    assert [reply.text for reply in cache.latest_of_model("haiku")] == ["4", "1", "0"]
    assert [reply.text for reply in cache.latest_of_model("haiku", limit=1)] == ["4"]
    assert cache.latest_of_model("other") == []
