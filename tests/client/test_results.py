"""What replies say, out of memory until somebody reads it."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace

import pytest

from pytest_ftgate.client.results import Spool
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Passage, Step, ToolCall

LONG = Reply(
    text="Grüße, \ud83d \U0001f600 \x00 " * 50,
    stop="length",
    model="m-1",
    usage={"input": 3, "output": 1},
    seconds=0.25,
    request_id="req_1",
    steps=(Step("let me look", (ToolCall(name="find", arguments={"id": 1}, result="it"),)),),
    passages=(Passage(source="terms.md", text="within 30 days"),),
    unsent=("seed",),
    facts={"parent": "m"},
    processing="batch",
)
PARTS = Reply.__slots__


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path)


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_a_reply_reads_as_before(spool, part):
    put = spool.put(LONG)
    assert getattr(put, part) == getattr(LONG, part)


def test_a_reply_that_was_put_equals_what_it_was(spool):
    assert spool.put(LONG) == LONG == spool.put(LONG)
    assert spool.put(LONG) != replace(LONG, text="other")


@pytest.mark.parametrize("copied", [deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_of_a_reply_that_was_put_stands_for_itself(spool, copied):
    assert type(copied(spool.put(LONG))) is Reply
    assert copied(spool.put(LONG)) == LONG


def test_a_reply_that_was_put_looks_like_any_other(spool):
    assert repr(spool.put(LONG)) == repr(LONG)


def test_a_reply_that_was_put_writes_the_same_json(spool):
    assert spool.put(LONG).to_json() == LONG.to_json()


def test_a_label_is_left_where_it_is(spool):
    label = Reply(text="refund", usage={"input": 3})
    assert spool.put(label) is label


@pytest.mark.parametrize(
    "told", [{"steps": LONG.steps}, {"passages": LONG.passages}], ids=["steps", "passages"]
)
def test_what_a_short_reply_brings_along_is_put_too(spool, told):
    put = spool.put(Reply(text="refund", **told))
    assert (put.text, put.steps, put.passages) == (
        "refund",
        told.get("steps", ()),
        told.get("passages", ()),
    )


def test_a_changed_copy_is_a_plain_reply(spool):
    assert replace(spool.put(LONG), text="other") == replace(LONG, text="other")


def test_what_replies_say_takes_no_memory(spool):
    def reply(number: int) -> Reply:
        return Reply(text=f"{number} " * 20_000)

    tracemalloc.start()
    try:
        replies = [spool.put(reply(number)) for number in range(100)]
        assert replies[7].text == reply(7).text
        spool.read(replies[0]._position)  # what was read last stays
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 2 * len(reply(0).text)


def test_threads_may_put_and_read_at_once(spool):
    def there_and_back(number: int) -> bool:
        text = f"{number} " * (50 + number)
        put = spool.put(Reply(text=text))
        return all(put.text == text for _ in range(20))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(there_and_back, range(400)))


def test_no_file_is_left_to_see(spool, tmp_path):
    spool.put(LONG)
    assert [*tmp_path.iterdir()] == []


def test_where_the_folder_is_missing_another_is_used(tmp_path):
    assert Spool(tmp_path / "none").put(LONG).text == LONG.text


def test_a_disk_that_fills_up_leaves_replies_in_memory(tmp_path):
    # A limit of the process on its files stands for the disk: the last write takes only a part.
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from pytest_ftgate.client.results import Spool\n"
        "from pytest_ftgate.requests.reply import Reply\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))\n"
        "spool, texts = Spool(Path(sys.argv[1])), [f'{n} ' * 1_500 for n in range(6)]\n"
        "put = [spool.put(Reply(text=text)) for text in texts]\n"
        "assert [one.text for one in put] == texts\n"
        "print(sum(type(one) is Reply for one in put))\n"
    )

    told = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True
    )

    assert told.stdout.split() == [b"4"]


def test_what_is_closed_is_off_the_disk_and_may_be_closed_again(spool):
    spool.put(LONG)
    spool.close()
    spool.close()
    Spool(spool._folder).close()  # nothing was put there
    assert spool._file.closed
