"""A damaged cache is saved with one warning; a sound one is counted, and cut back."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing

import pytest

from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.cache.maintenance import cache_stats, find_damage, prune
from pytest_ftgate.cache.sqlite import Batch
from pytest_ftgate.errors import CacheError, ConfigurationError
from pytest_ftgate.requests.reply import Reply

COUNT = 400
PAGE = 4096
OPEN_AND_COUNT = """
import sys, time
from pathlib import Path
from pytest_ftgate.cache.cache import Cache
print("ready", flush=True)
sys.stdin.readline()
said = []
cache = Cache(Path(sys.argv[1]), run="other", clock=time.time, warn=said.append)
print(len(said), len(cache.replies(sys.argv[2].split(","))), flush=True)
"""


@pytest.fixture
def filled(cache, call):
    """A closed cache of many replies, and their fingerprints."""
    calls = [call(str(number)) for number in range(COUNT)]
    cache.store_all([(one, Reply(text="x" * 500)) for one in calls])
    cache.close()
    return cache.path, [one.fingerprint for one in calls]


@pytest.fixture
def opened(filled, open_cache):
    """Open the cache again; return how many replies it has, and what it said."""

    def again() -> tuple[int, list[str]]:
        said: list[str] = []
        cache: Cache = open_cache("run-2", warn=said.append)
        found = cache.replies(filled[1])
        cache.close()
        assert all(reply == Reply(text="x" * 500) for reply in found.values())
        return len(found), said

    return again


def overwrite(path, start, content):
    with path.open("r+b") as file:
        file.seek(start)
        file.write(content)


def zero_the_first_page(path):
    overwrite(path, 0, bytes(PAGE))


def break_a_page_in_the_middle(path):
    overwrite(path, 20 * PAGE, os.urandom(PAGE))


def repeat_a_page_before_a_broken_one(path):
    content = path.read_bytes()
    overwrite(path, 20 * PAGE, content[10 * PAGE : 11 * PAGE] + bytes(2 * PAGE))


def cut_in_half(path):
    os.truncate(path, path.stat().st_size // 2 + 100)


def change_row(sql):
    def change(path):
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(f"UPDATE replies SET body = {sql} WHERE rowid = 7")

    return change


@pytest.mark.parametrize(
    ("damage", "least"),
    [
        (zero_the_first_page, COUNT),
        (break_a_page_in_the_middle, COUNT - 20),
        (repeat_a_page_before_a_broken_one, COUNT - 40),
        (cut_in_half, COUNT // 3),
        (change_row("substr(body, 1, 100)"), COUNT - 1),
        (change_row("'{}'"), COUNT - 1),
        (change_row("CAST(x'ff00fe' AS TEXT)"), COUNT - 1),
        (lambda path: path.write_bytes(os.urandom(9000)), 0),
    ],
)
def test_what_can_be_read_of_a_damaged_file_is_saved_and_the_old_one_too(
    filled, opened, damage, least
):
    path, _ = filled
    damage(path)
    before = path.read_bytes()

    count, said = opened()

    aside = path.with_name(f"{path.name}.damaged-1")
    assert COUNT > count >= least or count == least == COUNT
    assert aside.read_bytes() == before
    assert len(said) == 1
    assert f"the cache {path} was damaged" in said[0]
    assert f"{count:,} replies could be read and are still cached" in said[0]
    assert said[0].endswith(f"the old file is {aside}")


def test_a_saved_file_is_whole_and_a_second_damage_is_put_aside_beside_the_first(filled, opened):
    for _ in range(2):
        break_a_page_in_the_middle(filled[0])
        count, _ = opened()
        assert find_damage(filled[0]) == []
        assert opened() == (count, [])

    names = {one.name for one in filled[0].parent.glob("*.damaged-*")}
    assert names == {"replies.sqlite.damaged-1", "replies.sqlite.damaged-2"}


def test_a_log_without_its_file_gives_its_replies_back(filled, opened, call, open_cache):
    path, _ = filled
    path.unlink()
    cache = open_cache()
    for number in range(20):
        cache.store(call(str(number)), Reply(text="x" * 500))
    log = path.with_name(f"{path.name}-wal")
    shutil.copy(log, path.with_name("copy"))
    cache.close()
    path.unlink()
    path.with_name("copy").rename(log)

    count, said = opened()

    assert count == 20
    assert "only its write-ahead log is there" in said[0]


def test_an_empty_file_is_a_new_cache(filled, opened):
    filled[0].write_bytes(b"")

    assert opened() == (0, [])


def test_damage_that_is_met_while_reading_does_not_end_the_run(filled, open_cache):
    path, names = filled
    said: list[str] = []
    cache = open_cache(warn=said.append)
    break_a_page_in_the_middle(path)

    assert COUNT - 20 <= len(cache.replies(names)) < COUNT
    assert len(said) == 1


def test_claims_and_pending_batches_are_saved_too(filled, open_cache):
    path, names = filled
    batch = Batch(key="k", id="batch-1", address="a", at=1.0, fingerprints=("f", "g"))
    cache = open_cache()
    cache.batches.save(batch)
    cache.claim("f")
    break_a_page_in_the_middle(path)
    cache.replies(names)

    assert cache.batches.sent_to("a") == [batch]
    assert not open_cache("run-2").claim("f")


def test_processes_that_find_the_same_damage_save_the_file_once(filled, start_python):
    path, names = filled
    zero_the_first_page(path)
    processes = [start_python(OPEN_AND_COUNT, str(path), ",".join(names[:100])) for _ in range(3)]
    assert [one.stdout.readline() for one in processes] == ["ready\n"] * 3
    for one in processes:
        one.stdin.write("\n")
        one.stdin.flush()

    told = sorted(one.stdout.readline() for one in processes)

    assert told == ["0 100\n"] * 2 + ["1 100\n"]
    assert len([*path.parent.glob("*.damaged-*")]) == 1


# What a cache holds -------------------------------------------------------------------------------

DAY = 86_400.0


@pytest.fixture
def days(open_cache, call):
    """A cache with ten replies of each of a hundred days; return its path."""
    now = [0.0]
    cache = open_cache(clock=lambda: now[0])
    for day in range(100):
        now[0] = day * DAY
        calls = [call(f"{day} {number}", model=f"m{day % 2}") for number in range(10)]
        cache.store_all([(one, Reply(text="x" * 900)) for one in calls])
    cache.close()
    return cache.path


def oldest(path) -> float:
    return min(one.oldest for one in cache_stats(path).models)


def test_replies_are_counted_by_provider_and_model(days):
    held = cache_stats(days)
    told = [(s.provider, s.model, s.replies, s.oldest, s.newest) for s in held.models]
    assert told == [("python", "m0", 500, 0, 98 * DAY), ("python", "m1", 500, DAY, 99 * DAY)]
    assert held.bytes == days.stat().st_size
    assert held.claims == 0


def test_what_came_before_a_day_is_forgotten_and_its_room_given_back(days):
    before = days.stat().st_size
    gone, size = prune(days, before=90 * DAY, max_bytes=None)
    assert gone == 900
    assert oldest(days) == 90 * DAY
    assert size == days.stat().st_size < before / 5


@pytest.mark.parametrize("max_bytes", [900_000, 300_000, 60_000])
def test_a_file_is_cut_to_a_size_and_not_much_below_it_the_oldest_first(days, max_bytes):
    gone, size = prune(days, before=None, max_bytes=max_bytes)
    left = sum(one.replies for one in cache_stats(days).models)
    assert 0.8 * max_bytes < size <= max_bytes
    assert (gone + left, oldest(days)) == (1000, (gone // 10) * DAY)


@pytest.mark.parametrize(("max_bytes", "forgotten"), [(50_000_000, 0), (10, 1000)])
def test_a_small_file_loses_nothing_and_a_limit_that_none_can_keep_ends(days, max_bytes, forgotten):
    assert prune(days, before=None, max_bytes=max_bytes)[0] == forgotten


def test_a_cache_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(ConfigurationError, match="there is no cache"):
        cache_stats(tmp_path / "none.sqlite")
    assert [*tmp_path.iterdir()] == []


def test_a_file_that_is_no_cache_is_said_so(tmp_path):
    path = tmp_path / "none.sqlite"
    path.write_text("no database")
    with pytest.raises(CacheError, match="see pytest-ftgate cache check"):
        cache_stats(path)
