"""The suite as training sees it, and with fewer cases."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from functools import partial

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate import ConfigurationError
from pytest_ftgate.suite.draft import PluginContributions
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.training.suite import (
    IN_MEMORY,
    checkpoint_gates,
    count_questions,
    extra_of,
    in_memory_content,
    metric_name,
    saved_content,
    saved_key,
    trained_variant,
    with_fewer_cases,
    with_weights,
)

THINKING = {"chat_template_kwargs": {"enable_thinking": False}}
CONTENT = {
    "cases": "t.cases.jsonl",
    "reply": {"format": {"choice": ["a", "b", "c"]}, "score": "choice"},
    "variants": {
        "current": {"provider": "llamacpp", "model": "base.gguf", "user": "{{ input }}?"},
        "strict": {"like": "current", "response_schema": True, "gated": False},
        "tuned": {
            "like": "current", "adapter": "not-there-yet", "max_tokens": 7,
            "response_schema": True, "extra": THINKING,
        },
    },
    "baseline": "current",
    "serves": "current",
    "gates": {
        "accuracy": {"min": 0.5, "max_drop": 0.2},
        "latency": {"max_p50_ms": 900},
        "forgetting": {"skills": "general-small", "max_drop": 0.1, "stop_early": True},
    },
}  # fmt: skip


@pytest.fixture
def loaded(tmp_path):
    """The suite with the model in memory, loaded from a file whose adapter is not there yet."""
    rows = [{"id": f"t{n}", "input": f"n {n}", "expected": "aab"[n % 3]} for n in range(299)]
    rows.append({"id": "rare", "input": "rare", "expected": "c"})
    rows.append({"id": "must", "input": "must", "expected": "a", "must_pass": True})
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    (tmp_path / "t.cases.jsonl").write_text(text, "utf-8")
    (tmp_path / "t.ftgate.yaml").write_text(json.dumps(CONTENT), "utf-8")
    plugins = PluginContributions(providers=(IN_MEMORY,))
    trained = partial(in_memory_content, name="tuned")
    suite = load_suite(tmp_path / "t.ftgate.yaml", tmp_path, plugins, trained)
    suite = with_weights(suite, "tuned", "trained 1", "base 0", extra_of(CONTENT, "tuned"))
    return checkpoint_gates(suite)


def test_the_trained_variant_is_the_tuned_one_unless_it_is_named():
    assert trained_variant(CONTENT, None) == "tuned"
    assert trained_variant(CONTENT, "current") == "current"
    with pytest.raises(ConfigurationError, match='none of that name; did you mean "tuned"'):
        trained_variant(CONTENT, "tunes")
    # What is no mapping is left to the loader.
    assert trained_variant({"variants": {"a": None, "b": {"like": 3, "adapter": "x"}}}, None) == "b"
    two = {"variants": {"a": {"adapter": "x"}, "b": {"like": "a"}}}
    with pytest.raises(ConfigurationError, match="write variant=, one of a, b"):
        trained_variant(two, None)


@every_row("keys, named", [
    ({"provider": "llamacpp", "model": "base.gguf", "adapter": "out/1"}, "adapter"),
    ({"provider": "openai-compatible", "model": "t", "adapter": "o", "base": "b"}, "adapter"),
    ({"provider": "transformers", "model": "out/merged", "base": "org/base"}, "model"),
    ({"provider": "house", "model": "out/merged"}, "model"),
])  # fmt: skip
def test_a_saved_checkpoint_takes_the_place_of_the_adapter_or_of_the_model(keys, named, tmp_path):
    variants = {"dear": {"provider": "anthropic", "model": "m"}, "base": {"model": "x"}}
    content = {**CONTENT, "variants": {**variants, "tuned": keys}, "baseline": "dear"}

    kept = saved_content(content, "tuned", tmp_path / "checkpoint-8")

    assert kept["variants"]["tuned"] == {
        **keys, named: str(tmp_path / "checkpoint-8"), "gated": True
    }  # fmt: skip
    assert kept["variants"]["dear"] == {**variants["dear"], "gated": False}
    assert [*kept["variants"]] == ["dear", "tuned"]
    assert not kept.keys() & {"serves", "challengers"}


def test_a_variant_whose_provider_reads_no_folder_is_an_error():
    served = {"provider": "openai-compatible", "model": "t", "base": "b"}
    for keys in (served, {"provider": "llamacpp", "model": "tuned.gguf", "base": "base.gguf"}):
        with pytest.raises(ConfigurationError, match="write adapter: FOLDER there"):
            saved_key({"variants": {"tuned": keys}}, "tuned")


def test_a_metric_is_named_by_what_its_gate_rates(loaded):
    assert [metric_name(gate) for gate in loaded.gates.values()] == [
        "eval_ftgate_accuracy", "eval_ftgate_general_skills"
    ]  # fmt: skip


@every_row("variants, reason", [
    ({"a": {"like": "b"}, "b": {"like": "a"}}, "like: a -> b -> a is a circle"),
    ({"cheap": {}, "a": {"like": "chaep"}}, 'no variant "chaep"; did you mean "cheap"'),
])  # fmt: skip
def test_a_variant_that_is_like_none_is_an_error_before_the_training(variants, reason):
    with pytest.raises(ConfigurationError, match=reason):
        trained_variant({"variants": variants}, None)


def test_a_baseline_inherits_no_price_of_another_model():
    dear = {"provider": "anthropic", "model": "m", "usd_per_1k": 9}
    variants = {"dear": dear, "cheap": {"like": "dear", "model": "n"}, "tuned": {"adapter": "x"}}
    content = {**CONTENT, "baseline": "cheap", "variants": variants}

    kept = in_memory_content(content, "tuned")["variants"]["cheap"]

    assert kept == {"provider": "anthropic", "model": "n", "gated": False}


def test_the_model_in_memory_answers_for_the_variant_and_its_base(loaded):
    tuned, current = loaded.variants["tuned"], loaded.variants["current"]

    assert [*loaded.variants] == ["current", "tuned"]
    assert (tuned.provider, tuned.model, tuned.base) == (IN_MEMORY, "trained 1", "base 0")
    assert (current.provider, current.model, current.gated) == (IN_MEMORY, "base 0", False)
    assert tuned.max_tokens == 7
    assert tuned.constrained
    assert tuned.user == "{{ input }}?"
    assert tuned.extra == THINKING
    assert tuned.is_proven
    # The time of a model that is being trained says nothing about the served one.
    assert [*loaded.gates] == ["accuracy", "forgetting"]
    # A checkpoint has its own look at a part of the questions.
    assert not loaded.gates["forgetting"].stop_early


def test_the_questions_to_the_model_in_memory_are_those_of_its_gates_under_each_prompt(loaded):
    of_cases, of_skills = len(loaded.cases), 252
    skills = loaded.gates["forgetting"]
    twice = replace(loaded, gates={"forgetting": replace(skills, under_prompt=True)})

    assert count_questions(loaded) == of_cases + of_skills
    assert count_questions(twice) == 2 * of_skills
    assert count_questions(with_fewer_cases(twice, 30)) == 2 * 30
    few = with_fewer_cases(loaded, 30, ["forgetting"])
    assert count_questions(few) == len(few.cases) + of_skills


def test_a_baseline_at_a_server_stays_there():
    hosted = {"provider": "anthropic", "model": "claude-haiku-5-5"}
    content = {**CONTENT, "variants": {"current": hosted, "tuned": {"adapter": "x"}}}

    assert in_memory_content(content, "tuned")["variants"]["current"] == {**hosted, "gated": False}


def test_fewer_cases_are_spread_over_labels_and_skills_and_stay_the_same(loaded):
    few = with_fewer_cases(loaded, 30)

    labels = Counter(case.expected for case in few.cases)
    assert len(few.cases) in (30, 31)
    assert labels["c"] == 1
    assert abs(labels["a"] - labels["b"]) <= 2
    assert "must" in {case.id for case in few.cases}
    skills = Counter(case.skill for case in few.gates["forgetting"].cases)
    assert sum(skills.values()) >= 30
    assert max(skills.values()) - min(skills.values()) <= 1
    shuffled = replace(loaded, cases=loaded.cases[::-1])
    assert {c.id for c in with_fewer_cases(shuffled, 30).cases} == {c.id for c in few.cases}


def test_gates_in_doubt_keep_all_that_they_are_evaluated_on(loaded):
    of_skills = with_fewer_cases(loaded, 30, ["forgetting"])
    of_cases = with_fewer_cases(loaded, 30, ["accuracy"])

    assert of_skills.gates["forgetting"] == loaded.gates["forgetting"]
    assert len(of_skills.cases) < len(of_cases.cases) == len(loaded.cases)
    assert len(of_cases.gates["forgetting"].cases) == 30
