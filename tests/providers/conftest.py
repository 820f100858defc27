"""Fixtures of an engine with scripted providers, and of the hosted APIs on loopback."""

from __future__ import annotations

import os
from functools import partial

import pytest
from ftgate_testing.asking import HOSTED, ask_all
from ftgate_testing.engines import (  # noqa: F401
    backoffs,
    cache,
    call,
    open_cache,
    providers,
    soon,
    start,
    start_python,
)


@pytest.fixture(autouse=True)
def no_credentials_around(monkeypatch, tmp_path):
    for name in [*os.environ]:
        if name.startswith(("ANTHROPIC_", "AWS_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(params=HOSTED)
def hosted(request) -> str:
    """The provider that is asked: each hosted API in turn, unless a module names its own."""
    return request.param


@pytest.fixture
def made(call, api, hosted):  # noqa: F811 - the fixture is imported above
    """Make a request to the loopback API."""

    def make(text: str = "hello", **changes):
        where = {"base_url": f"{api.url}{HOSTED[hosted][1]}", "api_key_env": "TEAM_KEY"}
        return call(text, **{"provider": hosted, "model": "m", **where, **changes})

    return make


@pytest.fixture
def together(hosted):
    """Put requests to one open provider, one after the other."""
    return partial(ask_all, HOSTED[hosted][0])


@pytest.fixture
def asked(made, together):
    """Ask the loopback API once."""
    return lambda text="hello", **changes: together([made(text, **changes)])[0]
