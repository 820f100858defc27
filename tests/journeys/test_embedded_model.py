"""The main job on a slice: real weights, real adapters, real replies."""

import json
import shutil
from pathlib import Path

import pytest
import xllamacpp
from ftgate_testing.tables import heavy
from platformdirs import user_cache_path

from pytest_ftgate import weights

EXAMPLE = Path(__file__).parents[2] / "examples" / "tickets"
SKILLS = Path(weights.__file__).parent / "skills" / "data"

FORGETTING = """
cases: [{id: one, input: "My parcel is late.", expected: late_delivery}]
reply: {format: {choice: [late_delivery, refund]}, max_tokens: 12}
variants:
  current: {provider: llamacpp, model: smollm2-135m, gated: false}
  narrow: {like: current, adapter: narrow.gguf}
gates: {forgetting: {skills: [facts.ftgate.yaml], max_drop: 0.34}}
"""

FACTS = """
cases: facts.jsonl
reply: {score: contains, max_tokens: 12}
variants: {current: {provider: llamacpp, model: smollm2-135m}}
gates: {}
"""

LABELS = """
cases: labels.jsonl
reply: {format: {choice: [late_delivery, refund, login]}, max_tokens: 12}
variants:
  current: {provider: llamacpp, model: smollm2-135m}
  strict: {like: current, response_schema: true}
gates: {format: {min: 0.50}}
"""


MESSAGES = """
cases: sums.jsonl
reply: {format: {regex: "[A-Za-z0-9]"}, score: contains, max_tokens: 8}
variants:
  local: {provider: anthropic, model: smollm2, base_url_env: LOCAL_URL, api_key_env: LOCAL_KEY}
  larger: {like: local, model: smollm2-large}
gates: {format: {min: 0.50}}
"""


COMPLETIONS = """
cases: sums.jsonl
reply:
  format:
    json_schema:
      type: object
      properties: {sum: {type: integer}}
      required: [sum]
      additionalProperties: false
  score: contains
  max_tokens: 24
variants:
  free: {provider: openai-compatible, model: smollm2, base_url_env: LOCAL_URL, temperature: 0}
  held: {like: free, response_schema: true}
gates: {format: {min: 0.50}}
"""


@pytest.fixture(scope="session")
def cache() -> Path:
    # Of the session, so that it is found before pytester moves the home folder away.
    return user_cache_path()


@pytest.fixture(autouse=True)
def fetched_weights(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


@pytest.fixture
def facts(pytester: pytest.Pytester) -> None:
    """Write some of the bundled facts as a skill: all of them take a minute."""
    _about, *rows = (SKILLS / "world_facts.jsonl").read_text("utf-8").splitlines()
    some = [{key: json.loads(row)[key] for key in ("id", "input", "expected")} for row in rows[:12]]
    pytester.makefile(".jsonl", facts="\n".join(map(json.dumps, some)))
    pytester.makefile(".ftgate.yaml", facts=FACTS)


@pytest.mark.heavy
@pytest.mark.usefixtures("facts")
def test_real_forgetting_fails(pytester: pytest.Pytester) -> None:
    shutil.copy(EXAMPLE / "tickets-narrow.gguf", pytester.path / "narrow.gguf")
    pytester.makefile(".ftgate.yaml", suite=FORGETTING)

    result = pytester.runpytest_subprocess("--ftgate", "suite.ftgate.yaml")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "general skills down * points * limit 34: *",
            "*passed before, fails now*",
            "BLOCKED  1 of 1 gate failed*",
            "* of 12 cases regressed, *",
        ]
    )


#: Stands in for a conversion, which takes seconds of every core.
CONVERTING = """
from pytest_ftgate import weights

def pytest_runtest_setup(item):
    weights.show_conversion.get()("ftgate: converting tiny")
"""


@pytest.mark.parametrize("workers", [[], heavy(["-n1"])], ids=["alone", "xdist"])
def test_a_run_says_that_it_converts_weights_unless_it_is_quiet(
    pytester: pytest.Pytester, workers: list[str]
) -> None:
    pytester.makeconftest(CONVERTING)
    pytester.makepyfile("def test_it(): pass")
    # A worker writes to the stream of the process.
    run = pytester.runpytest_subprocess if workers else pytester.runpytest_inprocess

    for quiet, times in (("-q", 1), ("-qq", 0)):
        result = run("--ftgate", quiet, *workers)

        result.stdout.fnmatch_lines([".*100%*"])
        shown = result.outlines + result.errlines
        assert shown.count("ftgate: converting tiny") == times


@pytest.mark.heavy
def test_two_workers_share_the_cores_and_reach_the_verdicts(pytester: pytest.Pytester) -> None:
    words = ["late", "lost", "stuck", "not here", "delayed", "missing", "overdue", "gone"]
    rows = [
        f'{{"id": "{i}", "input": "My parcel {i} is {word}.", "expected": "late_delivery"}}'
        for i, word in enumerate(words)
    ]
    pytester.makefile(".jsonl", labels="\n".join(rows))
    pytester.makefile(".ftgate.yaml", suite=LABELS)

    result = pytester.runpytest_subprocess("--ftgate", "suite.ftgate.yaml", "-n2", "--dist=load")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["FAILED *format?current?*", "✗ format?current?*", "✓ 1 passed   format: strict *"]
    )


@pytest.mark.heavy
def test_the_messages_api_runs_a_suite_through_its_own_sdk(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = served()
    monkeypatch.setenv("LOCAL_URL", server.listening_address)
    monkeypatch.setenv("LOCAL_KEY", "a-key-that-stays-secret")
    pytester.makeini("[pytest]\nftgate_keys = LOCAL_KEY@$LOCAL_URL\n")
    write_sums(pytester)
    pytester.makefile(".ftgate.yaml", suite=MESSAGES)

    result = pytester.runpytest_subprocess("--ftgate", "suite.ftgate.yaml", "-vv")

    assert result.parseoutcomes() == {"passed": 1, "invalid": 1}
    result.stdout.fnmatch_lines(
        [
            "BLOCKED  1 of 2 gates invalid*",
            "    another model answered: smollm2, declared smollm2-large*",
        ]
    )
    result.stdout.no_fnmatch_line("*a-key-that-stays-secret*")
    cache = (pytester.path / ".ftgate" / "cache.sqlite").read_bytes()
    assert b"a-key-that-stays-secret" not in cache


@pytest.mark.heavy
def test_chat_completions_run_a_suite_through_their_own_sdk_and_hold_a_schema(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = served()
    monkeypatch.setenv("LOCAL_URL", f"{server.listening_address}/v1")
    write_sums(pytester)
    pytester.makefile(".ftgate.yaml", suite=COMPLETIONS)

    result = pytester.runpytest_subprocess("--ftgate", "suite.ftgate.yaml")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["✗ *[[]free]*", "✓ 1 passed*held*"])


def write_sums(pytester: pytest.Pytester) -> None:
    sums = [
        f'{{"id": "{n}", "input": "What is {n} plus {n}?", "expected": "{2 * n}"}}'
        for n in range(1, 11)
    ]
    pytester.makefile(".jsonl", sums="\n".join(sums))


def served() -> xllamacpp.Server:
    """Serve the embedded model, which speaks both chat APIs on loopback."""
    params = xllamacpp.CommonParams()
    params.model.path = str(weights.find_weights("smollm2-135m", EXAMPLE))
    params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 2048, 4, 1
    params.port, params.verbosity, params.model_alias = 0, -1, {"smollm2"}
    return xllamacpp.Server(params)
