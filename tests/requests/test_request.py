"""Requests are sent in an order that spares the weights a change of their adapter."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from pytest_ftgate.requests.request import Adapter, Request, group_by_adapter


def request(adapter: str, number: int = 0) -> Request:
    weights = Adapter(path=Path(adapter), scale=1.0, sha256=adapter) if adapter else None
    return Request(
        fingerprint=f"{adapter}{number}",
        provider="llamacpp",
        model="m.gguf",
        messages=(),
        max_tokens=1,
        sampling={},
        adapter=weights,
    )


def test_requests_with_one_adapter_follow_each_other_in_their_own_order():
    mixed = [request(name, number) for number in range(3) for name in ("", "a", "b")]

    ordered = group_by_adapter(mixed)

    assert [key for key, _ in groupby(ordered, key=lambda one: one.adapter)] == [
        mixed[0].adapter,
        mixed[1].adapter,
        mixed[2].adapter,
    ]
    assert [one.fingerprint for one in ordered if one.adapter is None] == ["0", "1", "2"]
    assert len(ordered) == len(mixed)


def test_requests_go_on_with_the_adapter_of_the_last_request_before_them():
    rest = [request("", 1), request("a", 1), request("b", 1)]

    ordered = group_by_adapter(rest, after=[request(""), request("a")])

    assert [one.fingerprint for one in ordered] == ["a1", "1", "b1"]
