"""Claims: which process is sending a request, whatever the clocks are set to."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_ftgate.cache import claims as module
from pytest_ftgate.cache.claims import Claims
from pytest_ftgate.cache.sqlite import Database
from pytest_ftgate.errors import CacheError

#: Longer than any claim lasts without a renewal, in seconds.
LONG = 61
CLAIM = """
import sys, time
from pathlib import Path
from pytest_ftgate.cache.cache import Cache
cache = Cache(Path(sys.argv[1]), run="other", clock=time.time)
print(cache.claim("f"), flush=True)
sys.stdin.readline()
"""


@dataclass
class Clock:
    """A clock that tests set."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock(1_000_000.0)


@pytest.fixture
def monotonic():
    return Clock()


@pytest.fixture
def claims(tmp_path, clock, monotonic, request):
    """Open the claims of one more process; *place* is where it runs."""
    path = tmp_path / "replies.sqlite"

    def opened(place: str = "", clock=clock) -> Claims:
        database = Database(path)
        opened_claims = Claims(database, clock, monotonic)
        if place:
            opened_claims.owner = f"{place} pid:[1] 4711 abcd"
        request.addfinalizer(database.close)
        request.addfinalizer(opened_claims.close)
        return opened_claims

    return opened


def test_a_claim_may_be_repeated_by_its_owner_and_closing_leaves_no_thread(claims):
    mine = claims()
    assert mine.claim("f")
    assert mine.claim("f")
    mine.close()
    assert not mine._thread.is_alive()
    assert mine.owner != claims().owner


def test_the_claim_of_a_dead_process_is_taken_over_by_one(cache, start_python, soon):
    claimer = start_python(CLAIM, str(cache.path))
    assert claimer.stdout.readline() == "True\n"
    assert not cache.claim("f")
    claimer.kill()
    if not Path("/proc/self/stat").exists():
        claimer.wait()
    # Linux alone tells it of one that nothing has waited for: pytest-xdist leaves its workers so.
    soon(lambda: cache.claim("f"))
    assert start_python(CLAIM, str(cache.path)).stdout.readline() == "False\n"


@pytest.mark.parametrize("place", ["elsewhere", ""], ids=["elsewhere", "here"])
def test_a_claim_without_a_sign_of_life_for_a_minute_is_nobodys(claims, clock, monotonic, place):
    # The process of a claim made here may be another by now: ids are given out again.
    claims(place).claim("f")
    mine = claims()
    for passed in (0, 40):
        monotonic.now = clock.now = clock.now + passed
        assert not mine.claim("f")
    monotonic.now += LONG - 40
    assert mine.claim("f")


def test_a_claim_that_is_renewed_stays(claims, clock, monotonic):
    theirs, mine = claims("elsewhere"), claims()
    theirs.claim("f")
    for _ in range(10):
        clock.now += 20
        monotonic.now += 20
        theirs.renew()
        assert not mine.claim("f")


def test_claims_are_renewed_regularly_even_after_a_renewal_that_cannot_be_written(
    claims, monkeypatch, soon
):
    monkeypatch.setattr(module, "_RENEWAL", 0.01)
    mine, renewals = claims(), []

    def renew():
        renewals.append(time.monotonic())
        raise CacheError("busy")

    monkeypatch.setattr(mine, "renew", renew)
    mine.claim("f")
    soon(lambda: len(renewals) > 2)


def test_all_claims_of_a_process_are_renewed_by_one_statement(claims, tmp_path, clock):
    mine = claims()
    mine.claim_all([*"abc"])
    clock.now += 20
    mine.renew()
    with closing(sqlite3.connect(tmp_path / "replies.sqlite")) as db:
        assert db.execute("SELECT DISTINCT at FROM claims").fetchall() == [(clock.now,)]


@pytest.mark.parametrize("ahead", [30, 86_400])
def test_a_claim_is_respected_and_ends_however_far_the_other_clock_is_ahead(
    claims, clock, monotonic, ahead
):
    claims("elsewhere", Clock(clock.now + ahead)).claim("f")
    mine = claims()
    assert not mine.claim("f")
    monotonic.now += LONG
    assert mine.claim("f")


@pytest.mark.parametrize("jump", [-86_400, 86_400], ids=["back", "ahead"])
def test_a_clock_that_is_set_ends_no_claim_of_a_process_that_lives_here(claims, clock, jump):
    claims().claim("f")
    clock.now += jump
    assert not claims().claim("f")


def test_a_claim_that_a_run_elsewhere_left_long_ago_is_nobodys_at_once(claims, clock):
    claims("elsewhere", Clock(clock.now - 3600)).claim("f")
    assert claims().claim("f")


def test_a_claim_in_a_shape_of_long_ago_is_no_obstacle(claims, tmp_path, monotonic):
    mine = claims()
    with closing(sqlite3.connect(tmp_path / "replies.sqlite")) as db, db:
        db.execute("INSERT INTO claims VALUES ('f', 'host 17', 1e12)")
    assert not mine.claim("f")
    monotonic.now += LONG
    assert mine.claim("f")


def test_a_claim_renewed_while_it_was_taken_for_expired_stays(
    claims, monotonic, monkeypatch, clock
):
    theirs, mine = claims("elsewhere"), claims()
    theirs.claim("f")
    mine.claim("f")
    monotonic.now += LONG
    has_expired = mine._has_expired

    def late(*claim):
        result = has_expired(*claim)
        clock.now += 1
        theirs.renew()
        return result

    monkeypatch.setattr(mine, "_has_expired", late)
    assert not mine.claim("f")


def test_a_claim_is_given_up_by_its_owner_alone(claims):
    mine, theirs = claims(), claims("elsewhere")
    theirs.claim("f")
    mine.release("f")
    assert not mine.claim("f")
    theirs.release("f")
    assert mine.claim("f")


def test_more_claims_than_a_statement_has_room_for_are_read(claims):
    mine, theirs = claims(), claims("elsewhere")
    names = [str(number) for number in range(1203)]
    theirs.claim_all(names[::2])
    mine.claim("1")
    assert mine.claimable(names) == names[1::2]
