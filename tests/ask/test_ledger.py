"""Replies on disk, under every way that a run can end."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from pytest_ftgate.ask import ledger as module
from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import LedgerError

REMEDY = "move it away, or name another file with --ftgate-ledger"
OPEN = """
import sys, time
from pathlib import Path
from pytest_ftgate.ask.ledger import Ledger
from pytest_ftgate.ask import ledger as module
from pytest_ftgate.ask.reply import Reply
def opened():
    return Ledger(Path(sys.argv[1]), run="other", clock=time.time)
"""
WRITE_MANY = """
print("ready", flush=True)
sys.stdin.readline()
ledger = opened()
for i in range(50):
    ledger.keep(f"{sys.argv[2]}-{i}", Reply(text=str(i)))
ledger.close()
"""
WRITE_FOR_EVER = """
ledger, i = opened(), 0
while True:
    ledger.claim(f"{i}")
    ledger.keep(f"{i}", Reply(text="x" * 2000))
    print(i, flush=True)
    i += 1
"""
CLAIM = """
print(opened().claim("f"), flush=True)
sys.stdin.readline()
"""


def one_word(process: subprocess.Popen[str]) -> str:
    return process.stdout.readline().strip()


def go(process: subprocess.Popen[str]) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


def test_what_was_kept_is_there_when_the_file_is_opened_again(ledger, open_ledger):
    reply = Reply(text="ja", usage={"input": 3}, model="m")
    ledger.keep("f", reply)
    ledger.close()
    assert open_ledger("run-2").replies(["f", "g"]) == {"f": reply}


def test_more_replies_than_a_statement_has_room_for_are_found(ledger):
    wanted = {f"f{i}": Reply(text=str(i)) for i in range(1203)}
    for fingerprint, reply in wanted.items():
        ledger.keep(fingerprint, reply)
    assert ledger.replies(wanted) == wanted


def test_replies_of_this_run_are_told_from_older_ones(open_ledger):
    open_ledger("run-1").keep("old", Reply(text="1"))
    now = open_ledger("run-2")
    now.keep("new", Reply(text="2"))
    assert set(now.replies(["old", "new"], this_run=True)) == {"new"}


def test_a_reply_kept_again_takes_the_place_of_the_old_one_and_joins_this_run(open_ledger):
    open_ledger("run-1").keep("f", Reply(text="old"))
    now = open_ledger("run-2")
    now.keep("f", Reply(text="new"))
    assert now.replies(["f"], this_run=True) == {"f": Reply(text="new")}


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


def test_a_killed_process_leaves_every_reply_that_it_had_kept(tmp_path, open_ledger, start_python):
    path = tmp_path / "replies.sqlite"
    writer = start_python(OPEN + WRITE_FOR_EVER, str(path))
    kept = [one_word(writer) for _ in range(30)]
    writer.send_signal(signal.SIGKILL)
    kept += writer.communicate()[0].split()[:-1]
    ledger = open_ledger(path=path)
    assert set(ledger.replies(kept)) == set(kept)
    ledger.keep("next", Reply(text="the file can be written too"))
    assert ledger.replies(["next"])


def test_one_of_two_claimers_wins(ledger, start_python):
    claimers = [start_python(OPEN + CLAIM, str(ledger.path)) for _ in range(2)]
    assert sorted(one_word(claimer) for claimer in claimers) == ["False", "True"]
    assert not ledger.claim("f")


def test_a_claim_may_be_repeated_by_its_owner(ledger):
    assert ledger.claim("f")
    assert ledger.claim("f")


def test_the_claim_of_a_dead_process_is_taken_over_by_one(ledger, start_python):
    claimer = start_python(OPEN + CLAIM, str(ledger.path))
    assert one_word(claimer) == "True"
    claimer.kill()
    claimer.wait()
    assert ledger.claim("f")
    other = start_python(OPEN + CLAIM, str(ledger.path))
    assert one_word(other) == "False"


def test_a_claim_made_on_another_machine_is_respected(ledger):
    with sqlite3.connect(ledger.path) as db:
        db.execute("INSERT INTO claims VALUES ('f', ?, ?)", (f"elsewhere {2**22 + 1}", time.time()))
    db.close()
    assert not ledger.claim("f")


def test_a_claim_that_outlived_every_call_is_taken_over(ledger):
    with sqlite3.connect(ledger.path) as db:
        db.execute("INSERT INTO claims VALUES ('f', ?, 0)", (f"elsewhere {2**22 + 1}",))
    db.close()
    assert ledger.claim("f")


@pytest.mark.parametrize("give_up", ["release", "keep"])
def test_a_claim_given_up_is_free_for_another_process(ledger, start_python, give_up):
    ledger.claim("f")
    getattr(ledger, give_up)("f", *[Reply(text="done")] * (give_up == "keep"))
    assert one_word(start_python(OPEN + CLAIM, str(ledger.path))) == "True"


def test_a_claim_is_not_released_by_another_process(ledger, start_python):
    claimer = start_python(OPEN + CLAIM, str(ledger.path))
    assert one_word(claimer) == "True"
    ledger.release("f")
    assert not ledger.claim("f")


def test_the_folder_of_a_ledger_keeps_itself_out_of_git(open_ledger, tmp_path):
    open_ledger(path=tmp_path / "new" / "deep" / "replies.sqlite")
    assert (tmp_path / "new" / "deep" / ".gitignore").read_text() == "*\n"


def test_a_gitignore_of_the_user_is_left_alone(open_ledger, tmp_path):
    (tmp_path / ".gitignore").write_text("*.log\n")
    open_ledger()
    assert (tmp_path / ".gitignore").read_text() == "*.log\n"


def test_a_file_that_is_no_ledger_is_an_error_with_its_remedy(open_ledger, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("remember the milk\n" * 100)
    with pytest.raises(LedgerError, match=r"notes\.txt cannot be used: .*not a database") as caught:
        open_ledger(path=path)
    assert REMEDY in str(caught.value)
    assert path.read_text().startswith("remember")


def test_damage_inside_the_file_is_an_error_with_its_remedy(ledger, open_ledger):
    for i in range(200):
        ledger.keep(f"{i}", Reply(text="x" * 500))
    ledger.close()
    with ledger.path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(ledger.path.stat().st_size - 4096))
    with pytest.raises(LedgerError, match=REMEDY):
        open_ledger().replies(["5"])


@pytest.mark.parametrize("body", ["{", "{}", "[1]"])
def test_a_row_that_holds_no_reply_is_an_error_with_its_remedy(ledger, body):
    ledger.keep("f", Reply(text="fine"))
    with sqlite3.connect(ledger.path) as db:
        db.execute("UPDATE replies SET body = ?", (body,))
    db.close()
    with pytest.raises(LedgerError, match=REMEDY):
        ledger.replies(["f"])


@pytest.fixture
def locked(tmp_path):
    """Give a folder that may be read only, to someone whom permissions hold back."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    yield folder
    if is_root:
        os.seteuid(0)


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be made read-only there")
@pytest.mark.parametrize("name", ["replies.sqlite", "new/replies.sqlite"])
def test_a_folder_that_cannot_be_written_is_an_error_with_its_remedy(open_ledger, locked, name):
    with pytest.raises(LedgerError, match=REMEDY):
        open_ledger(path=locked / name)


def test_a_ledger_where_a_folder_lies_is_an_error_with_its_remedy(open_ledger, tmp_path):
    with pytest.raises(LedgerError, match=REMEDY):
        open_ledger(path=tmp_path)


def test_the_latest_replies_of_a_model_are_found_by_the_name_its_server_gives_it(open_ledger):
    ledger = open_ledger()
    names = ("haiku", "haiku-20251001", "haiku-5", None, "haiku")
    for number, model in enumerate(names):
        ledger.keep(f"f{number}", Reply(text=str(number), model=model))

    assert [reply.text for reply in ledger.of_model("haiku")] == ["4", "1", "0"]
    assert [reply.text for reply in ledger.of_model("haiku", most=1)] == ["4"]
    assert ledger.of_model("other") == []
