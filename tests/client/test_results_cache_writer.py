"""What is written to the cache in one pass of the event loop is written together."""

from __future__ import annotations

import asyncio

import pytest

from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.client.results import CacheWriter, Results
from pytest_ftgate.errors import CacheError
from pytest_ftgate.requests.reply import Reply


@pytest.fixture
def calls(call):
    return [call(text) for text in "abc"]


@pytest.fixture
def writer(cache):
    return CacheWriter(cache, Results(cache, {}, fresh=False))


async def stored(writer, calls):
    tasks = [asyncio.ensure_future(writer.store(one, Reply(text="x"))) for one in calls]
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_claims_of_one_pass_are_one_transaction_and_leave_out_those_of_others(
    writer, open_cache, calls
):
    theirs = open_cache()
    theirs._claims.owner = "elsewhere pid:[1] 17 abcd"
    theirs.claim(calls[1].fingerprint)
    theirs.store(calls[2], Reply(text="theirs"))

    async def claimed():
        return await asyncio.gather(*map(writer.claim, calls))

    first, *others = asyncio.run(claimed())

    assert all(other is first for other in others)
    assert {name: reply and reply.text for name, reply in first.items()} == {
        calls[0].fingerprint: None,
        calls[2].fingerprint: "theirs",
    }


def test_replies_of_one_pass_are_one_transaction(writer, cache, calls, monkeypatch):
    sizes, store_all = [], Cache.store_all
    monkeypatch.setattr(
        Cache, "store_all", lambda self, pairs: (sizes.append(len(pairs)), store_all(self, pairs))
    )

    async def twice():
        await stored(writer, calls[:2])
        await stored(writer, calls[2:])

    asyncio.run(twice())

    assert sizes == [2, 1]
    assert cache.replies([one.fingerprint for one in calls]).keys() == {
        one.fingerprint for one in calls
    }


def test_one_that_is_cancelled_takes_no_reply_from_the_others(writer, cache, calls):
    async def cancelled():
        tasks = [asyncio.ensure_future(writer.store(one, Reply(text="x"))) for one in calls]
        await asyncio.sleep(0)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, *others = asyncio.run(cancelled())

    assert isinstance(first, asyncio.CancelledError)
    assert others == [None, None]
    assert len(cache.replies([one.fingerprint for one in calls])) == len(calls)


def test_a_failure_is_that_of_each(writer, calls, monkeypatch):
    def fails(*_):
        raise CacheError("full")

    monkeypatch.setattr(Cache, "store_all", fails)

    assert [str(error) for error in asyncio.run(stored(writer, calls))] == ["full"] * len(calls)
