"""What keeps gates from being evaluated here, before a request is sent."""

from __future__ import annotations

import json
import time
from contextlib import closing
from itertools import chain

import pytest
from ftgate_testing.tables import every_row
from ftgate_testing.token_files import write_model

from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import distinct_requests
from pytest_ftgate.runner import preflight
from pytest_ftgate.runner.planner import GateRun
from pytest_ftgate.runner.preflight import blocked_gates
from pytest_ftgate.runner.session import Session
from pytest_ftgate.settings import Settings
from pytest_ftgate.suite import providers
from pytest_ftgate.suite.loader import load_suite

HOSTED = "{provider: openai-compatible, model: gpt-x}"
MISSING = "the key of gpt-x is missing: set OPENAI_API_KEY"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder, *variants, reply="{score: exact}", gates="{accuracy: {min: 0.5}}"):
    rows = [{"id": f"c{n}", "input": f"Ticket {n}", "expected": "refund"} for n in range(4)]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    (folder / "c.jsonl").write_text(lines, "utf-8")
    head = f"cases: c.jsonl\nreply: {reply}\ngates: {gates}\nvariants:\n"
    text = head + "".join(f"  {variant}\n" for variant in variants)
    (folder / "s.ftgate.yaml").write_text(text, "utf-8")


def blocked(folder, *, replies="auto", cached=False):
    """Return the names of the gates that are blocked, by the reason; *cached* fills the cache."""
    suite = load_suite(folder / "s.ftgate.yaml", folder)
    session = Session(Settings.of_evaluation(folder, replies=replies), "run", {})
    gates = {
        f"{gate.name}[{variant.name}]": GateRun(suite, gate, variant)
        for variant in suite.variants.values()
        for gate in suite.gates_for(variant)
    }
    if cached:
        groups = (session.groups(gate_run) for gate_run in gates.values())
        items = chain.from_iterable(chain.from_iterable(groups))
        path = session.settings.cache
        with closing(Cache(path, run="an earlier one", clock=time.time)) as cache:
            for request in distinct_requests(items):
                cache.store(request, Reply(text="refund"))
    with closing(session):
        return {reason: [*names] for reason, names in blocked_gates(session, gates).items()}


def test_a_missing_key_blocks_the_gates_whose_requests_would_carry_it(folder, monkeypatch):
    write(folder, f"current: {HOSTED}", "here: {provider: llamacpp, model: smollm2-135m}")

    ((reason, names),) = blocked(folder).items()

    assert reason.startswith(MISSING)
    assert names == ["accuracy[current]"]
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    assert blocked(folder) == {}


def test_cached_replies_need_no_key_unless_all_are_to_be_fresh_and_without_them_none_is_sent(
    folder,
):
    write(folder, f"current: {HOSTED}")

    (reason,) = blocked(folder, replies="recorded")
    assert reason.startswith("4 of 4 replies are not recorded; with the keys, run\n")
    assert blocked(folder, cached=True) == {}
    assert blocked(folder, replies="recorded") == {}
    assert next(iter(blocked(folder, replies="fresh"))).startswith(MISSING)


def test_a_judge_without_its_key_blocks_the_gates_that_read_its_grades(folder):
    rows = "".join(f'{{"id": "c{n}", "text": "yes"}}\n' for n in range(4))
    (folder / "r.jsonl").write_text(rows, "utf-8")
    judge = f"{{score: {{judge: {{rubric: Nice., model: {HOSTED}}}}}, format: {{regex: .}}}}"
    gates = "{accuracy: {min: 0.5}, format: {min: 0.5}}"
    write(folder, "current: {provider: recorded, replies: r.jsonl}", reply=judge, gates=gates)

    ((reason, names),) = blocked(folder).items()

    assert reason.startswith(f"the judge: {MISSING}")
    assert names == ["accuracy[current]"]


def test_a_variant_that_cannot_be_planned_does_not_block_the_judge_of_another(folder):
    (folder / "f.py").write_text("def f(case):\n    return '{}'\n", "utf-8")
    judge = "{score: {judge: {rubric: Nice., model: {provider: python, function: 'f:f'}}}}"
    absent = "current: {provider: openai-compatible, model: m, base_url_env: NOT_SET}"
    write(folder, absent, "draft: {provider: python, function: 'f:f'}", reply=judge)

    assert blocked(folder) == {
        "NOT_SET is not set; set it to the address of the server": ["accuracy[current]"]
    }


def test_recorded_replies_that_lack_most_cases_block_their_gates(folder):
    (folder / "r.jsonl").write_text('{"id": "c0", "text": "refund"}\n', "utf-8")
    write(folder, "current: {provider: recorded, replies: r.jsonl}")

    (reason,) = blocked(folder)

    assert reason.startswith("3 of 4 requests got no reply; the first: r.jsonl has no reply")


def test_a_provider_whose_engine_is_not_installed_blocks_its_gates(folder, monkeypatch):
    write(folder, "current: {provider: llamacpp, model: smollm2-135m}")
    absent = {"xllamacpp": None}
    monkeypatch.setattr(preflight, "find_spec", absent.__getitem__)

    assert [*blocked(folder)] == [
        'provider llamacpp needs xllamacpp: pip install "pytest-ftgate[local]"'
    ]


LOADED = """tuned:
    provider: transformers
    model: tiny
    load:
      {}"""
PACKAGES = [
    ("device_map: auto", 'accelerate: pip install "pytest-ftgate[transformers]"'),
    ("quantization: int8", 'bitsandbytes: pip install "pytest-ftgate[quantized]"'),
    ("attention: flash_attention_2", "flash-attn: pip install flash-attn --no-build-isolation"),
    ("attention: flash_attention_4", "flash-attn-4: pip install flash-attn-4"),
]


@every_row("written, remedy", PACKAGES)
def test_a_package_that_a_key_needs_is_named_at_its_line(folder, monkeypatch, written, remedy):
    write_model(folder / "tiny")
    write(folder, LOADED.format(written), "like: {like: tuned, gated: false}")
    monkeypatch.setattr(preflight, "find_spec", lambda _: True)
    monkeypatch.setattr(providers, "_is_installed", lambda _: False)

    assert blocked(folder) == {f"s.ftgate.yaml:9: {written} needs {remedy}": ["accuracy[tuned]"]}
    # Replies that are recorded need nothing, and neither does what comes with torch.
    assert blocked(folder, cached=True) == {}
    write(folder, LOADED.format("attention: sdpa"))
    assert blocked(folder, replies="fresh") == {}


def test_a_broken_accepted_record_blocks_the_gates_of_its_suite(folder, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    write(folder, f"current: {HOSTED}")
    (folder / "s.accepted.json").write_text("{", "utf-8")

    ((reason, names),) = blocked(folder).items()

    assert "s.accepted.json" in reason
    assert names == ["accuracy[current]"]
