"""Long texts of replies: in a file instead of memory, and read from there as they were."""

from __future__ import annotations

import os
import pickle
import tempfile
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pytest_ftgate.requests.reply import Reply, TextFile, file_text

LONG = "Grüße\r\n\u2028\U0001f600 \x00" * 200
FULL = Reply(text=LONG, stop="length", model="m-1", usage={"input": 3}, thought="so", score=0.5)


@pytest.fixture
def file():
    return TextFile()


def test_a_filed_reply_is_the_same_in_every_field(file):
    filed = file_text(FULL, file)

    assert filed is not FULL
    assert filed.to_json() == FULL.to_json()
    assert Reply.from_json(filed.to_json()) == FULL
    assert repr(filed).endswith(repr(FULL).removeprefix("Reply"))


def test_a_filed_reply_can_be_changed_and_sent_to_another_process(file):
    filed = file_text(FULL, file)

    assert replace(filed, stop="end").text == LONG
    assert replace(filed, text="short").text == "short"
    assert pickle.loads(pickle.dumps(filed)).to_json() == FULL.to_json()


def test_a_short_text_stays_in_memory(file):
    reply = Reply(text="billing")

    assert file_text(reply, file) is reply


def test_a_long_text_stays_in_memory_where_no_file_can_be_made(file, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))

    assert file_text(FULL, file) is FULL


def test_a_reply_is_filed_once(file):
    filed = file_text(FULL, file)

    assert file_text(filed, file) is filed


def test_many_long_texts_take_little_memory(file):
    tracemalloc.start()
    try:
        kept = [file_text(Reply(text=f"{number} " * 1_000), file) for number in range(1_000)]
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert size < 500_000
    assert [reply.text for reply in kept] == [f"{number} " * 1_000 for number in range(1_000)]


def test_threads_read_their_own_texts(file):
    filed = [file_text(Reply(text=f"{number} " * 1_000), file) for number in range(50)]

    def read(number):
        return filed[number % 50].text == f"{number % 50} " * 1_000

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(2_000)))


def test_texts_are_read_where_the_system_cannot_read_at_a_position(file, monkeypatch):
    monkeypatch.delattr(os, "pread", raising=False)
    filed = [file_text(Reply(text=f"{number} " * 1_000), file) for number in range(3)]

    assert [reply.text[0] for reply in filed] == ["0", "1", "2"]


def test_a_text_stays_in_memory_while_the_disk_is_full(file, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file, "add", full)

    assert file_text(FULL, file) is FULL


def test_half_a_record_is_no_text(file, monkeypatch):
    class HalfWritten:
        def seek(self, _): ...

        def write(self, record):
            return len(record) // 2

    monkeypatch.setattr(file, "_opened", HalfWritten())

    assert file_text(FULL, file) is FULL


def test_a_reply_has_no_other_fields(file):
    with pytest.raises(AttributeError, match="mood"):
        _ = file_text(FULL, file).mood


def test_texts_are_read_whole_in_any_order_and_while_others_are_added(file):
    sizes = (0, 1, 16_376, 16_380, 16_384, 40_000, 7, 9_000, 9_000, 3)
    texts = [f"{index}" * size for index, size in enumerate(sizes)]
    starts = []
    for text in texts:
        starts.append(file.add(text))
        assert file.read(starts[-1]) == text
        assert file.read(starts[0]) == texts[0]

    for order in ((0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (9, 8, 7, 6, 5, 4, 3, 2, 1, 0), (4, 6, 5, 9, 2)):
        assert [file.read(starts[index]) for index in order] == [texts[index] for index in order]
