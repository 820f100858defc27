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
from ftgate_testing.tables import every_row

from pytest_ftgate.cache import cache as cache_module
from pytest_ftgate.cache import sqlite as module
from pytest_ftgate.cache.export import read_replies
from pytest_ftgate.cache.sqlite import Batch, CacheEntry, network_filesystem
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
        calls = [call(text) for text in texts]
        cache.store_all([(one, Reply(text=said)) for one in calls])
        return [one.fingerprint for one in calls]

    return stored


def one_word(process: subprocess.Popen[str]) -> str:
    return process.stdout.readline().strip()


def sql(cache, *statements: str) -> None:
    with closing(sqlite3.connect(cache.path)) as db:
        for statement in statements:
            db.execute(statement)


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


def test_replies_of_this_run_are_told_from_older_ones_whose_place_they_take(open_cache, store):
    names = store(open_cache("run-1"), "old", "f", said="old")
    now = open_cache("run-2")
    names += store(now, "new", "f", said="new")
    assert now.replies(names, this_run=True) == dict.fromkeys(names[2:], Reply(text="new"))
    assert now.replies(names)[names[0]] == Reply(text="old")


def test_what_answered_is_noted_by_a_name_that_means_the_same_elsewhere(cache, call, tmp_path):
    adapter = Adapter(path=tmp_path / "tickets.gguf", scale=1.0, sha256="0")
    calls = [
        call("a", model="meta/llama-3"),
        call("b", model="", function="app:answer"),
        call("c", model=str(tmp_path / "small.gguf"), adapter=adapter),
    ]
    for one in calls:
        cache.store(one, Reply(text=""))
    noted = {one.fingerprint: one.model for one in cache.entries(c.fingerprint for c in calls)}
    told = ["meta/llama-3", "app:answer", "small.gguf + tickets.gguf"]
    assert [noted[one.fingerprint] for one in calls] == told


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
    sql(cache, "PRAGMA user_version = 99", f"PRAGMA journal_mode = {journal}")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(CacheError, match=NEWER):
        open_cache(recorded=recorded)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_comes_after_a_newer_version_took_the_file_over_is_put_aside(cache, store):
    store(cache, "f")
    sql(cache, "PRAGMA user_version = 99")
    with pytest.raises(CacheError, match=NEWER) as caught:
        store(cache, "g")
    with closing(sqlite3.connect(cache.path)) as db:
        assert db.execute("SELECT count(*) FROM replies").fetchone() == (1,)
    aside = Path(str(caught.value).rpartition(" ")[2])
    assert len(read_replies(aside, aside.name)) == 1
    with pytest.raises(CacheError, match="sends no more requests"):
        cache.claim("h")


# Several processes


def test_processes_that_open_a_new_file_and_write_at_once_lose_nothing(
    open_cache, tmp_path, start_python
):
    path = tmp_path / "new" / "replies.sqlite"
    writers = [start_python(OPEN + WRITE_MANY, str(path), name) for name in "abc"]
    assert [one_word(writer) for writer in writers] == ["ready"] * 3
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    assert [writer.wait(30) for writer in writers] == [0] * 3
    written = [f"{name}-{i}" for name in "abc" for i in range(50)]
    assert len(open_cache(path=path).replies(written)) == 150


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


def test_the_folder_of_a_cache_keeps_itself_out_of_git_unless_the_user_has_it(open_cache, tmp_path):
    (tmp_path / ".gitignore").write_text("*.log\n")
    open_cache()
    open_cache(path=tmp_path / "new" / "deep" / "replies.sqlite")
    assert (tmp_path / "new" / "deep" / ".gitignore").read_text() == "*\n"
    assert (tmp_path / ".gitignore").read_text() == "*.log\n"


def test_a_file_that_is_not_named_like_a_cache_is_never_put_aside(open_cache, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("remember the milk\n" * 100)
    with pytest.raises(CacheError, match=r"notes\.txt cannot be used: .*not a database") as caught:
        open_cache(path=path)
    assert REMEDY in str(caught.value)
    assert [one.name for one in tmp_path.iterdir()] == ["notes.txt"]


# A full disk


unless_on_windows = pytest.mark.skipif(sys.platform == "win32", reason="it has no such limits")


@unless_on_windows
def test_a_reply_that_the_disk_has_no_room_for_is_set_aside_and_can_be_brought_back(
    start_python, tmp_path, monkeypatch, open_cache
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    process = start_python(OPEN + WRITE_UNTIL_FULL, str(tmp_path / "replies.sqlite"))
    asked, told, refused = process.communicate(timeout=60)[0].splitlines()

    (aside,) = tmp_path.glob("ftgate-*/unstored.replies.jsonl")
    cache = open_cache()
    names = [f"{i:064x}" for i in range(int(asked))]
    assert "cannot be written: disk I/O error; the run sends no more requests; 1 reply came" in told
    assert told.endswith(f"once it can be written again: pytest-ftgate cache import {aside}")
    assert aside.parent.stat().st_mode & 0o077 == 0
    assert len(cache.replies(names)) == len(names) - 1
    assert cache.add([*read_replies(aside, "aside").values()]) == 1
    assert len(cache.replies(names)) == len(names)
    # Nothing more is asked.
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


@unless_on_windows
@pytest.mark.parametrize("name", ["replies.sqlite", "new/replies.sqlite", "there.sqlite"])
def test_what_cannot_be_written_is_an_error_before_anything_is_asked_unless_nothing_is(
    open_cache, lock, name, store
):
    there = open_cache(path=lock[0] / "there.sqlite")
    known = store(there, "f")
    there.close()
    path = lock[1]() / name
    with pytest.raises(CacheError, match=REMEDY):
        open_cache(path=path)
    found = open_cache(path=path, recorded=True).replies(known)
    assert [*found] == (known if name == "there.sqlite" else [])


@unless_on_windows
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


# Committed replies


def committed_entry(name: str) -> CacheEntry:
    reply = Reply(text="committed")
    return CacheEntry(fingerprint=name, run="run-0", at=1.0, provider="p", model="m", reply=reply)


def test_committed_replies_are_used_where_the_file_has_none(open_cache, store):
    cache = open_cache("run-1")
    both = store(cache, "both")
    committed = {name: committed_entry(name) for name in [*both, "committed"]}
    wanted = [*both, "committed", "none"]
    now = open_cache("run-2", committed_replies=committed)
    texts = {name: reply.text for name, reply in now.replies(wanted).items()}
    assert texts == {both[0]: "fine", "committed": "committed"}
    assert now.origins(wanted)[0] == (1.0, "run-0")
    assert {one.fingerprint for one in now.entries(wanted)} == {*both, "committed"}
    # A fresh run uses none of them.
    assert now.replies(wanted, this_run=True) == {}


def test_the_latest_replies_of_a_model_are_found_by_the_name_its_server_gives_it(open_cache, call):
    cache = open_cache()
    names = ("haiku", "haiku-20251001", "haiku-5", None, "haiku")
    for number, model in enumerate(names):
        cache.store(call(f"{number}"), Reply(text=str(number), model=model))

    assert [reply.text for reply in cache.latest_of_model("haiku")] == ["4", "1", "0"]
    assert [reply.text for reply in cache.latest_of_model("haiku", limit=1)] == ["4"]
    assert cache.latest_of_model("other") == []


# Network file systems, by what Linux tells ------------------------------------------------------

TABLE = """\
/dev/sda1 / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
server:/home /home nfs4 rw,vers=4.2 0 0
/dev/sdb1 /home/ann/fast ext4 rw 0 0
//nas/share /mnt/my\\040share cifs rw 0 0
me@host:/ /mnt/ssh fuse.sshfs rw 0 0
C:\\134 /mnt/c 9p rw 0 0
/dev/fuse /mnt/ntfs fuse.ntfs-3g rw 0 0
/dev/sdc1 /over ext4 rw 0 0
server:/over /over nfs rw 0 0
broken
"""


@every_row(
    ("folder", "kind"),
    [
        ("/srv/project/.ftgate", None),
        ("/home/ann/project/.ftgate", "nfs4"),
        ("/home/ann/fast/project", None),
        ("/homes", None),
        ("/mnt/my share/project", "cifs"),
        ("/mnt/ssh/project", "fuse.sshfs"),
        ("/mnt/c/project", "9p"),
        ("/mnt/ntfs/project", None),
        ("/over", "nfs"),
    ],
)
def test_the_nearest_mount_decides(tmp_path, folder, kind):
    (tmp_path / "mounts").write_text(TABLE)
    assert network_filesystem(Path(folder), tmp_path / "mounts") == kind
    assert network_filesystem(Path(folder), tmp_path / "absent") is None


def test_a_cache_on_a_network_is_told_of_in_one_sentence(open_cache, monkeypatch, tmp_path):
    monkeypatch.setattr(cache_module, "network_filesystem", lambda folder: "nfs4")
    said: list[str] = []
    open_cache(warn=said.append)
    (sentence,) = said
    path = tmp_path / "replies.sqlite"
    assert sentence.startswith(f"the cache {path} lies on nfs4: SQLite's WAL")
    assert sentence.endswith("name a file on a local disk with ftgate_cache")
