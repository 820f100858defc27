"""What a cache holds: counted, and cut back from its oldest end."""

from __future__ import annotations

import pytest

from pytest_ftgate.cache.maintenance import cache_stats, prune
from pytest_ftgate.errors import CacheError, ConfigurationError
from pytest_ftgate.requests.reply import Reply

DAY = 86_400.0


@pytest.fixture
def days(open_cache, call):
    """A cache with ten replies of each of a hundred days; return its path."""
    now = [0.0]
    cache = open_cache(clock=lambda: now[0])
    for day in range(100):
        now[0] = day * DAY
        for number in range(10):
            cache.store(call(f"{day} {number}", model=f"m{day % 2}"), Reply(text="x" * 900))
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


def test_a_file_that_is_small_enough_loses_nothing(days):
    assert prune(days, before=None, max_bytes=50_000_000)[0] == 0


def test_a_limit_that_no_file_can_keep_forgets_all_and_ends(days):
    assert prune(days, before=None, max_bytes=10)[0] == 1000


def test_a_cache_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(ConfigurationError, match="there is no cache"):
        cache_stats(tmp_path / "none.sqlite")
    assert [*tmp_path.iterdir()] == []


def test_a_file_that_is_no_cache_is_said_so(tmp_path):
    path = tmp_path / "none.sqlite"
    path.write_text("no database")
    with pytest.raises(CacheError, match="see pytest-ftgate cache check"):
        cache_stats(path)
