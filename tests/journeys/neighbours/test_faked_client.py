"""A test fakes the client, or is async, by means of another plugin."""

from __future__ import annotations

from functools import partial

import pytest
from ftgate_testing.faked_client import FUNCTION, JUDGED, RIGHT, SUITE, TEST, outcomes, write_faked
from ftgate_testing.foreign_plugins import awaken


@pytest.fixture
def faking(desk):
    return partial(write_faked, desk)


@pytest.mark.parametrize("scope", ["", "class_", "module_", "package_", "session_"])
def test_the_fixtures_of_pytest_mock_count_as_patches(faking, monkeypatch, scope):
    awaken(monkeypatch, "pytest_mock")
    name = f"{scope}mocker"
    wide = f'"{scope.removesuffix("_") or "function"}"'
    fixture = (
        f"@pytest.fixture(scope={wide})\ndef fake({name}):\n"
        f'    {name}.patch("answers.CLIENT", "fake")\n\n'
    )
    # A fixture of the project would count anyway, so the second function takes the plugin's alone.
    plain = f"def test_it(case, reply, {name}):\n    return True\n"
    desk = faking(f"{fixture}@faked\ndef test_faked(case, reply, fake):\n{JUDGED}\n@faked\n{plain}")

    desk.run(TEST, SUITE)

    assert outcomes(desk) == {**RIGHT, "test_it": "passed"}
    assert desk.asked().count("real") >= desk.cases


@pytest.mark.parametrize("runner", ["asyncio", "anyio"])
def test_async_functions_share_the_cache_with_the_suite(faking, monkeypatch, runner):
    awaken(monkeypatch, runner)
    desk = faking(f"@pytest.mark.{runner}\n{FUNCTION.replace('def ', 'async def ')}")
    scope = ("-o", "asyncio_default_fixture_loop_scope=function") if runner == "asyncio" else ()

    desk.run(*scope, TEST, SUITE)

    assert {*outcomes(desk).values()} == {"failed"}
    assert desk.asked() == ["real"] * desk.cases
