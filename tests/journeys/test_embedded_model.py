"""The main job on a slice: real weights, real adapters, real replies."""

import json
import shutil
from pathlib import Path

import pytest
import xllamacpp
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
gates: {forgetting: {skills: [facts.ftgate.yaml], max_drop: 0.15}}
"""

FACTS = """
cases: facts.jsonl
reply: {score: contains, max_tokens: 24}
variants: {current: {provider: llamacpp, model: smollm2-135m}}
gates: {}
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


def test_real_forgetting_fails(pytester: pytest.Pytester) -> None:
    # All of the bundled facts take a minute.
    _about, *rows = (SKILLS / "world_facts.jsonl").read_text("utf-8").splitlines()
    some = [{key: json.loads(row)[key] for key in ("id", "input", "expected")} for row in rows[:20]]
    pytester.makefile(".jsonl", facts="\n".join(map(json.dumps, some)))
    shutil.copy(EXAMPLE / "tickets-narrow.gguf", pytester.path / "narrow.gguf")
    pytester.makefile(".ftgate.yaml", facts=FACTS, suite=FORGETTING)

    result = pytester.runpytest_subprocess("--ftgate", "suite.ftgate.yaml")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "general skills down * points * limit 15: *",
            "*passed before, fails now*",
            "BLOCKED  1 of 1 gate failed*",
            "* of 20 cases regressed, *",
        ]
    )


#: Stands in for a conversion, which takes seconds of every core.
CONVERTING = """
from pytest_ftgate import weights

def pytest_runtest_setup(item):
    weights.show_conversion.get()("ftgate: converting tiny")
"""


@pytest.mark.parametrize("workers", [[], ["-n1"]], ids=["alone", "xdist"])
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


def test_chat_completions_run_a_suite_through_their_own_sdk_and_hold_a_schema(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = xllamacpp.CommonParams()
    params.model.path = str(weights.find_weights("smollm2-135m", EXAMPLE))
    params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 2048, 4, 1
    params.port, params.verbosity, params.model_alias = 0, -1, {"smollm2"}
    server = xllamacpp.Server(params)
    monkeypatch.setenv("LOCAL_URL", f"{server.listening_address}/v1")
    sums = [
        {"id": str(n), "input": f"What is {n} plus {n}?", "expected": str(2 * n)}
        for n in range(1, 11)
    ]
    pytester.makefile(".jsonl", sums="\n".join(map(json.dumps, sums)))
    pytester.makefile(".ftgate.yaml", suite=COMPLETIONS)

    result = pytester.runpytest_subprocess("--ftgate", "suite.ftgate.yaml")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["✗ *[[]free]*", "✓ 1 passed*held*"])
