"""Replies that come: from other processes with one poll for all, and to the cache together."""

from __future__ import annotations

import asyncio

import pytest

from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.client import results as module
from pytest_ftgate.client.rate_limit import RetryPolicy
from pytest_ftgate.client.results import CacheWriter, PeerWaiter, Results
from pytest_ftgate.errors import CacheError, ReplyError
from pytest_ftgate.requests.reply import FiledReply, Reply

MANY = 1_000


@pytest.fixture
def calls(call):
    return [call(str(number)) for number in range(MANY)]


@pytest.fixture
def theirs(open_cache, calls):
    """The cache of another process on another machine, which asks all calls."""
    cache = open_cache()
    cache._claims.owner = "elsewhere pid:[1] 17 abcd"
    cache.claim_all([one.fingerprint for one in calls])
    return cache


@pytest.fixture
def statements(cache):
    """What the cache of this process is asked in SQL."""
    seen: list[str] = []
    cache._file._database._db.set_trace_callback(seen.append)
    return seen


def peer_waiter(cache, ending):
    return PeerWaiter(cache, Results(cache, {}, fresh=False), RetryPolicy(ending), 0.01)


def waiting(cache, calls, meanwhile):
    """Wait for *calls* while *meanwhile* goes on; return what became of each."""

    async def wait():
        ending = asyncio.Event()
        peers = peer_waiter(cache, ending)
        futures = [peers.reply_to(one) for one in calls]
        await meanwhile(ending)
        return await asyncio.gather(*futures, return_exceptions=True)

    return asyncio.run(wait())


def test_a_look_takes_a_few_statements_however_many_calls_are_awaited(
    cache, theirs, calls, statements
):
    def looks():
        return sum("claims" in sql for sql in statements) / 2

    async def look_and_end(ending):
        for _ in range(3_000):
            if looks() >= 2:
                break
            await asyncio.sleep(0.01)
        ending.set()

    waiting(cache, calls, look_and_end)

    assert looks() >= 2
    assert len(statements) <= 4 * looks() + 4


def test_a_call_that_is_given_up_is_claimed_and_the_rest_awaited(cache, theirs, calls):
    async def give_one_up(ending):
        theirs.release(calls[3].fingerprint)
        await asyncio.sleep(0.1)
        ending.set()

    found = waiting(cache, calls[:10], give_one_up)

    assert found.pop(3) is None
    assert not theirs.claim(calls[3].fingerprint)
    assert {type(one) for one in found} == {ReplyError}


def test_a_cache_that_cannot_be_read_is_told_to_all(cache, theirs, calls):
    async def close(_):
        cache._file._database.close()

    found = waiting(cache, calls, close)

    assert {type(one) for one in found} == {CacheError}


def test_a_call_awaited_after_the_others_were_answered_is_answered(cache, theirs, calls):
    async def wait():
        peers = peer_waiter(cache, asyncio.Event())
        for one in calls[:3]:
            theirs.store(one, Reply(text="here"))
            yield await peers.reply_to(one)

    async def all_of_them():
        return [reply.text async for reply in wait()]

    assert asyncio.run(all_of_them()) == ["here"] * 3


def test_long_texts_from_the_cache_and_from_a_model_lie_in_a_file(cache, call):
    stored, sent = call("stored"), call("sent")
    long = Reply(text="long " * 1_000)
    cache.store(stored, long)
    results = Results(cache, {}, fresh=False)

    results.settle(stored, results.cached_replies([stored])[stored.fingerprint])
    results.settle(sent, long)

    assert all(isinstance(result, FiledReply) for result in results.arrived.values())
    assert {result.text for result in results.arrived.values()} == {long.text}
    assert (results.reused, results.received) == (1, 1)


def test_cached_replies_are_read_part_by_part(cache, call, monkeypatch):
    monkeypatch.setattr(module, "_READ_AT_ONCE", 2)
    calls = [call(str(number)) for number in range(5)]
    cache.store_all([(one, Reply(text=one.messages[0][1])) for one in calls])

    replies = Results(cache, {}, fresh=False).cached_replies(calls)

    assert [replies[one.fingerprint].text for one in calls] == ["0", "1", "2", "3", "4"]


# What is written in one pass of the event loop -------------------------------------------------


@pytest.fixture
def few(call):
    return [call(text) for text in "abc"]


@pytest.fixture
def writer(cache):
    return CacheWriter(cache, Results(cache, {}, fresh=False))


async def stored(writer, few, cancelled=0):
    """Store replies to *few* in one pass, and cancel the first of those who wait."""
    tasks = [asyncio.ensure_future(writer.store(one, Reply(text="x"))) for one in few]
    await asyncio.sleep(0)
    for task in tasks[:cancelled]:
        task.cancel()
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_claims_of_one_pass_are_one_transaction_and_leave_out_those_of_others(
    writer, open_cache, few
):
    theirs = open_cache()
    theirs._claims.owner = "elsewhere pid:[1] 17 abcd"
    theirs.claim(few[1].fingerprint)
    theirs.store(few[2], Reply(text="theirs"))

    async def claimed():
        return await asyncio.gather(*map(writer.claim, few))

    first, *others = asyncio.run(claimed())

    assert all(other is first for other in others)
    assert {name: reply and reply.text for name, reply in first.items()} == {
        few[0].fingerprint: None,
        few[2].fingerprint: "theirs",
    }


def test_replies_of_one_pass_are_one_transaction(writer, cache, few, monkeypatch):
    sizes, store_all = [], Cache.store_all
    monkeypatch.setattr(
        Cache, "store_all", lambda self, pairs: (sizes.append(len(pairs)), store_all(self, pairs))
    )

    async def twice():
        await stored(writer, few[:2])
        await stored(writer, few[2:])

    asyncio.run(twice())

    assert sizes == [2, 1]
    assert len(cache.replies([one.fingerprint for one in few])) == len(few)


def test_one_that_is_cancelled_takes_no_reply_from_the_others(writer, cache, few):
    first, *others = asyncio.run(stored(writer, few, cancelled=1))

    assert isinstance(first, asyncio.CancelledError)
    assert others == [None, None]
    assert len(cache.replies([one.fingerprint for one in few])) == len(few)
