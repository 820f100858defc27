"""Programs that answer one case each: what they are given, and what their ends mean."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.client.redaction import redact_reply
from pytest_ftgate.errors import ProviderRejected, RequestRejected
from pytest_ftgate.providers import command
from pytest_ftgate.providers.command import open_command
from pytest_ftgate.readers.agent_runs import RunFacts
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

ENVIRON = {"PATH": os.environ["PATH"], "AGENT_KEY": "sk-0123456789", "OTHER_KEY": "sk-9876543210"}
CASE = Case(
    id="t1", location="c:1", input="$(touch x); --help", vars={"n": 1}, score=Rule("recorded")
)


def request(program: str, *arguments: str, seconds: float = 20, files=(), run: int = 1) -> Request:
    options = {
        "run": [sys.executable, "-c", program, *arguments],
        "env": {"AGENT_MODEL": "small-model"},
        "keys": ["AGENT_KEY"],
        "seconds": seconds,
    }
    return Request(
        fingerprint="f", provider="command", model="", messages=(), max_tokens=1, sampling={},
        case=CASE, repeat=run - 1, options=options, runtime={"files": files, "slots": 2},
    )  # fmt: skip


def reply(asked: Request):
    async def ask():
        provider = open_command([asked], ENVIRON)
        try:
            return await provider.generate(asked)
        finally:
            await provider.close()

    return asyncio.run(ask())


def test_a_program_gets_the_case_as_json_and_each_argument_whole():
    program = "import sys; print(sys.stdin.read()); print(sys.argv[1:])"
    given, arguments = reply(
        request(program, "{{ id }}-{{ run }}", "{{ input }}", run=3)
    ).text.splitlines()

    assert json.loads(given) == {
        "id": "t1", "input": "$(touch x); --help", "messages": [], "vars": {"n": 1}, "run": 3,
    }  # fmt: skip
    assert arguments == "['t1-3', '$(touch x); --help']"


def test_a_program_works_in_a_folder_of_its_own_that_is_gone_afterwards(tmp_path):
    skill = tmp_path / "skill.md"
    skill.write_text("be brief")
    program = "import os; print(os.getcwd(), os.listdir(), open('docs/skill.md').read())"
    text = reply(request(program, files=(("docs/skill.md", skill),))).text

    folder, _, rest = text.partition(" ")
    assert rest == "['docs'] be brief"
    assert not Path(folder).exists()


def test_a_program_reads_the_variables_that_the_suite_names_and_its_keys_are_kept_nowhere():
    program = "import os; print(sorted(n for n in os.environ if 'KEY' in n)); "
    asked = request(program + "print(os.environ['AGENT_KEY'], os.environ['AGENT_MODEL'])")
    environ = ENVIRON | {"AGENT_MODEL": "of-the-environment"}

    assert reply(asked).text == "['AGENT_KEY']\nsk-0123456789 small-model"
    clean = redact_reply(reply(asked), asked, environ)
    assert clean.text == "['AGENT_KEY']\n[AGENT_KEY] small-model"


@every_row(
    ("program", "score", "text"),
    [
        ("print('done')", 1.0, "done"),
        ("print('lost'); raise SystemExit(1)", 0.0, "lost"),
        ("""print('log'); print('{"reward": 0.5, "text": "half"}')""", 0.5, "half"),
        ("""print('{"reward": 0}'); raise SystemExit(1)""", 0.0, '{"reward": 0}'),
        ("""print('{"answer": 1}')""", 1.0, '{"answer": 1}'),
        ("""print('{"reward": 0, "text": "a\\u2028b"}')""", 0.0, "a\u2028b"),
        ("""print('"reward": 0'); raise SystemExit(1)""", 0.0, '"reward": 0'),
    ],
)
def test_the_reward_is_what_the_last_line_states_or_else_the_exit_code(program, score, text):
    found = reply(request(program))

    assert (found.score, found.text) == (score, text)


def test_a_reward_after_a_long_output_is_read():
    found = reply(request("""print('log\\n' * 400_000); print('{"reward": 0}')"""))

    assert found.score == 0.0


def test_a_program_that_writes_without_end_is_ended(monkeypatch):
    monkeypatch.setattr(command, "_MAX_WRITTEN", 1 << 21)
    with pytest.raises(RequestRejected, match="over 2 MiB of output"):
        reply(request("while True: print('log' * 1000)", seconds=60))


def test_tokens_that_a_program_states_are_those_of_its_reply():
    found = reply(request("""print('{"reward": 1, "input": 12, "output": 3}')"""))

    assert found.usage == {"input": 12, "output": 3}


@every_row(
    ("program", "message"),
    [
        ("raise SystemExit(7)", "exit code 7"),
        ("import sys; sys.stderr.write('a\\nno disk'); sys.exit(2)", "exit code 2: no disk"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "exit code -11"),
        ("""print('{"error": "the image was not built"}')""", ": the image was not built"),
        ("""print('{"reward": 1.5}')""", "a reward is 0 to 1"),
        ("""print('{"reward": true}')""", "a reward is 0 to 1"),
        (
            """print('{"reward": 1}'); raise SystemExit(1)""",
            "reward of 1 and ends with exit code 1",
        ),
        ("""print('{"reward": 1, "input": -1}')""", "a reward is 0 to 1"),
        ("import json; print(json.dumps({'reward': 0}, indent=1))", "the last line is }"),
        ("print({'reward': 0})", "the last line is {'reward': 0}"),
        ("""print('{"reward": 0}'); print('done')""", "the last line is done"),
    ],
)
def test_a_program_that_could_not_work_is_a_missing_reply_and_no_wrong_one(program, message):
    with pytest.raises(RequestRejected) as raised:
        reply(request(program))

    assert message in str(raised.value)


def test_a_program_that_takes_too_long_is_wrong_and_its_whole_group_ends(tmp_path):
    mark = tmp_path / "mark"
    child = f"import time; time.sleep(2); open({str(mark)!r}, 'w')"
    program = (
        f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]);"
        "print('so far', flush=True); time.sleep(60)"
    )
    found = reply(request(program, seconds=1.0))
    time.sleep(2.5)

    assert (found.score, found.stop, found.text) == (0.0, "length", "so far")
    assert not mark.exists()


def test_a_run_that_is_stopped_ends_the_programs_that_still_run():
    asked = request("import time; time.sleep(60)", seconds=60)

    async def ask():
        provider = open_command([asked], ENVIRON)
        task = asyncio.create_task(provider.generate(asked))
        await asyncio.sleep(1.0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await provider.close()

    start = time.monotonic()
    asyncio.run(ask())
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("text", ["a\0b", "long" * 100_000])
def test_a_case_that_fits_into_no_argument_is_missing_and_others_go_on(text):
    with pytest.raises(RequestRejected, match="can read the case from its input"):
        reply(request("", text))


def test_a_program_that_is_not_there_stops_the_variant():
    asked = request("")
    options = {**asked.options, "run": ["no-such-program"]}
    with pytest.raises(ProviderRejected, match="no-such-program cannot be started"):
        reply(Request(**{n: getattr(asked, n) for n in Request.__slots__} | {"options": options}))


def test_a_program_may_state_what_its_run_cost_and_took_beside_the_reward():
    facts = {"cost_usd": 0.12, "tool_calls": 7, "uses": ["pdf"], "seconds": 61.5}
    stated = reply(request(f"print({json.dumps(json.dumps({'reward': 1, **facts}))})"))

    assert stated.run == RunFacts(cost_usd=0.12, tool_calls=7, uses=("pdf",), seconds=61.5)
    assert Reply.from_json(stated.to_json()) == stated


@every_row(
    "facts, told",
    [
        ({"cost_usd": -1}, "cost_usd: -1 is no number of at least 0"),
        ({"tool_calls": 1.5}, "tool_calls: 1.5 is no number of at least 0"),
        ({"uses": "pdf"}, "uses: a list of the skills that were read"),
    ],
)
def test_what_is_no_amount_is_an_error_that_says_what_to_write(facts, told):
    program = f"print({json.dumps(json.dumps({'reward': 1, **facts}))})"
    with pytest.raises(RequestRejected, match=told) as error:
        reply(request(program))
    assert 'write {"reward": 1, "cost_usd": 0.12' in str(error.value)
