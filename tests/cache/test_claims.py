"""Claims: who is asking a call, for as long as the process lives, whatever the clocks say."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass

import pytest

from pytest_ftgate.cache import claims as module
from pytest_ftgate.cache.claims import Leases
from pytest_ftgate.cache.sqlite import Database
from pytest_ftgate.errors import LedgerError

#: Longer than any claim lasts without a sign of life, in seconds.
LONG = 61
CLAIM = """
import sys, time
from pathlib import Path
from pytest_ftgate.cache.cache import Ledger
ledger = Ledger(Path(sys.argv[1]), run="other", clock=time.time)
print(ledger.claim("f"), flush=True)
sys.stdin.readline()
"""


@dataclass
class Clock:
    """A clock that tests set."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def steady():
    return Clock(0.0)


@pytest.fixture
def lease(tmp_path, clock, steady, request):
    """Open the claims of one more process; *place* is where it runs."""
    path = tmp_path / "replies.sqlite"

    def opened(place: str = "", clock=clock) -> Leases:
        database = Database(path)
        leases = Leases(database.execute, clock, steady)
        if place:
            leases.owner = f"{place} pid:[1] 4711 abcd"
        request.addfinalizer(database.close)
        request.addfinalizer(leases.close)
        return leases

    return opened


def test_one_of_two_claimers_wins(ledger, start_python):
    claimers = [start_python(CLAIM, str(ledger.path)) for _ in range(2)]
    said = sorted(claimer.stdout.readline() for claimer in claimers)
    assert said == ["False\n", "True\n"]
    assert not ledger.claim("f")


def test_a_claim_may_be_repeated_by_its_owner(lease):
    mine = lease()
    assert mine.claim("f")
    assert mine.claim("f")


def test_the_claim_of_a_dead_process_is_taken_over_by_one(ledger, start_python):
    claimer = start_python(CLAIM, str(ledger.path))
    assert claimer.stdout.readline() == "True\n"
    assert not ledger.claim("f")
    claimer.kill()
    claimer.wait()
    assert ledger.claim("f")
    assert start_python(CLAIM, str(ledger.path)).stdout.readline() == "False\n"


@pytest.mark.parametrize("place", ["elsewhere", ""], ids=["elsewhere", "here"])
def test_a_claim_without_a_sign_of_life_for_a_minute_is_nobodys(lease, clock, steady, place):
    # The process of a claim made here may be another by now: ids are given out again.
    lease(place).claim("f")
    mine = lease()
    for passed in (0, 40):
        steady.now = clock.now = clock.now + passed
        assert not mine.claim("f")
    steady.now += LONG - 40
    assert mine.claim("f")


def test_a_claim_that_is_renewed_stays(lease, clock, steady):
    theirs, mine = lease("elsewhere"), lease()
    theirs.claim("f")
    for _ in range(10):
        clock.now += 20
        steady.now += 20
        theirs.renew()
        assert not mine.claim("f")


def test_a_claim_is_renewed_for_as_long_as_its_process_lives(lease, monkeypatch, soon, clock):
    monkeypatch.setattr(module, "_BEAT", 0.01)
    theirs, mine = lease("elsewhere"), lease()
    theirs.claim("f")
    before = dict(mine._claims(["f"]))
    clock.now += 5
    soon(lambda: dict(mine._claims(["f"])) != before)


def test_a_beat_that_cannot_be_written_is_not_the_last(lease, monkeypatch, soon):
    monkeypatch.setattr(module, "_BEAT", 0.01)
    mine, beats = lease(), []

    def renew():
        beats.append(time.monotonic())
        raise LedgerError("busy")

    monkeypatch.setattr(mine, "renew", renew)
    mine.claim("f")
    soon(lambda: len(beats) > 2)


def test_all_claims_of_a_process_are_renewed_by_one_statement(lease, tmp_path, clock):
    mine = lease()
    for name in "abc":
        mine.claim(name)
    clock.now += 20
    mine.renew()
    with sqlite3.connect(tmp_path / "replies.sqlite") as db:
        assert db.execute("SELECT DISTINCT at FROM claims").fetchall() == [(clock.now,)]
    db.close()


@pytest.mark.parametrize("off", [-86_400, -30, 30, 86_400], ids="{:+} s".format)
def test_a_claim_is_respected_and_ends_however_far_the_other_clock_is_ahead(
    lease, clock, steady, off
):
    lease("elsewhere", Clock(clock.now + abs(off))).claim("f")
    mine = lease()
    assert not mine.claim("f")
    steady.now += LONG
    assert mine.claim("f")


@pytest.mark.parametrize("jump", [-86_400, 86_400], ids=["back", "ahead"])
def test_a_clock_that_is_set_ends_no_claim_of_a_process_that_lives_here(lease, clock, jump):
    lease().claim("f")
    clock.now += jump
    assert not lease().claim("f")


def test_a_claim_that_a_run_elsewhere_left_long_ago_is_nobodys_at_once(lease, clock):
    lease("elsewhere", Clock(clock.now - 3600)).claim("f")
    assert lease().claim("f")


def test_a_claim_in_a_shape_of_long_ago_is_no_obstacle(lease, tmp_path, steady):
    mine = lease()
    with sqlite3.connect(tmp_path / "replies.sqlite") as db:
        db.execute("INSERT INTO claims VALUES ('f', 'host 17', 1e12)")
    db.close()
    assert not mine.claim("f")
    steady.now += LONG
    assert mine.claim("f")


def test_a_claim_renewed_while_it_was_taken_for_abandoned_stays(lease, steady, monkeypatch, clock):
    theirs, mine = lease("elsewhere"), lease()
    theirs.claim("f")
    mine.claim("f")
    steady.now += LONG
    abandoned = mine._abandoned

    def late(*found):
        told = abandoned(*found)
        clock.now += 1
        theirs.renew()
        return told

    monkeypatch.setattr(mine, "_abandoned", late)
    assert not mine.claim("f")


def test_a_claim_given_up_is_free_for_another_process(lease):
    mine, theirs = lease(), lease("elsewhere")
    mine.claim("f")
    mine.release("f")
    assert theirs.claim("f")


def test_a_claim_is_not_released_by_another_process(lease):
    mine, theirs = lease(), lease("elsewhere")
    theirs.claim("f")
    mine.release("f")
    assert not mine.claim("f")


def test_what_nobody_asks_is_told_of_more_calls_than_a_statement_has_room_for(lease):
    mine, theirs = lease(), lease("elsewhere")
    names = [str(number) for number in range(1203)]
    for name in names[::2]:
        theirs.claim(name)
    mine.claim("1")
    assert mine.free(names) == names[1::2]


def test_two_processes_of_one_id_are_told_apart(lease):
    assert lease().owner != lease().owner


def test_closing_leaves_no_thread(lease):
    mine = lease()
    mine.claim("f")
    mine.close()
    assert not mine._thread.is_alive()
