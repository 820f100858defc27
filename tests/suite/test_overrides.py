"""Keys of variants that are set outside the suite file."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftgate_testing.suite_files import PEFT, Like, suite_text, write_files
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.settings import Override
from pytest_ftgate.suite.loader import load_suite

CURRENT = "current: {provider: anthropic, model: m}"
TUNED = "tuned: {provider: llamacpp, model: m.gguf, adapter: out}"
DOTTED = "v1.5: {provider: anthropic, model: m, temperature: 1}"


def loaded(folder, *written, safe=False):
    """Load a suite in ``evals``, with keys that are set in the folder above it."""
    text = suite_text(CURRENT, TUNED, DOTTED, "v1: {like: current}")
    write_files(folder / "evals", {"s.ftgate.yaml": text, "t.jsonl": "", **PEFT})
    write_files(folder, {"new/adapter_config.json": PEFT["out/adapter_config.json"]})
    write_files(folder, {"new/adapter_model.safetensors": "weights", "m2.gguf": "GGUF"})
    overrides = [Override.read(one, folder) for one in written]
    path = folder / "evals" / "s.ftgate.yaml"
    return load_suite(path, folder, overrides=overrides, safe=safe)


def errors(folder, *written, **more):
    with pytest.raises(SuiteError) as caught:
        loaded(folder, *written, **more)
    return [str(error) for error in caught.value.errors]


@every_row("written, variant, field, value", [
    ("variants.current.model=n", "current", "model", "n"),
    ("variants.current.temperature=0.5", "current", "sampling", {"temperature": 0.5}),
    ("variants.current.stop=[a, b]", "current", "sampling", {"stop": ("a", "b")}),
    # What inherits has it too, and the longest name with a dot is meant.
    ("variants.current.model=n", "v1", "model", "n"),
    ("variants.v1.5.temperature=0", "v1.5", "sampling", {"temperature": 0}),
    ("variants.v1.max_tokens=5", "v1", "max_tokens", 5),
    ("variants.v1.max_tokens=5", "current", "max_tokens", None),
    # Without it, a key is as if it were not in the file.
    ("variants.v1.5.temperature=null", "v1.5", "sampling", {}),
    # Keys within a key, which the file may lack.
    ("variants.tuned.extra.a.b=1", "tuned", "extra", {"a": {"b": 1}}),
    # What another suite has is none of this one's.
    ("variants.draft.model=n", "current", "model", "m"),
])  # fmt: skip
def test_a_value_is_typed_as_the_files_own(tmp_path, written, variant, field, value):
    assert getattr(loaded(tmp_path, written).variants[variant], field) == value


def test_a_path_begins_where_the_command_is_typed(tmp_path):
    found = loaded(tmp_path, "variants.tuned.adapter=new", "variants.tuned.model=m2.gguf")

    assert found.variants["tuned"].adapter == tmp_path / "new"
    # Weights are named as the file would name them, so that replies in the cache are the same.
    assert found.variants["tuned"].model == str(Path("..") / "m2.gguf")
    absolute = loaded(tmp_path, f"variants.tuned.adapter={tmp_path / 'new'}")
    assert absolute.variants["tuned"].adapter == tmp_path / "new"


SET = "--ftgate-set variants."
#: What is written behind ``variants.``, and what is wrong with it.
WRONG = [
    ("tuned.adaptr=new", 'variant "tuned": unknown key "adaptr"; did you mean "adapter"?'),
    ("current.temperature=hot", 'variant "current": temperature must be a number, not "hot"'),
    ("v1.user=3", 'variant "v1": user is 3, but text is wanted here: write "3"'),
    ("current.model=[a", "not YAML: did not find expected ',' or ']'"),
    ("current.user=no", 'YAML reads the bare word no as false: write "no" for the text, or false'),
    ("current.adapter=new", Like('variant "current": adapter means nothing to provider anth...')),
    ("current.model.x=1", "variants.current.model is no mapping in the suite"),
    ("tuned.gated=false", "gated decides what is judged, and only the suite may; edit it there"),
    ("tuned.compared=false",
     "compared decides what is judged, and only the suite may; edit it there"),
    ("tuned.adapter=evals", Like('variant "tuned": adapter: . has no adapter_config...')),
    ("tuned.adapter=out", Like('variant "tuned": adapter: out does not exist in /..., where paths '
     "of a command begin; it lies in the folder of the suite: write evals/out")),
    ("tuned.adapter=nope", Like('variant "tuned": adapter: nope does not exist in /..., where '
     "paths of a command begin; nor is it in the folder of the suite, evals/")),
    ("tuned.adapter=nope/c-*", Like('variant "tuned": adapter: nope/c-* matches nothing in /...')),
]  # fmt: skip


@every_row("written, problem", WRONG)
def test_an_error_names_what_was_typed_and_no_line(tmp_path, written, problem):
    (found,) = errors(tmp_path, f"variants.{written}")

    place, message = found.split(f"{SET}{written}: ")
    assert (place, message) == ("", problem)


def test_the_last_value_of_a_key_within_a_key_stays_beside_the_others(tmp_path):
    keys = ("variants.tuned.extra={a: 1, b: 2}", "variants.tuned.extra.b=3")

    assert loaded(tmp_path, *keys).variants["tuned"].extra == {"a": 1, "b": 3}


def test_an_error_has_the_address_of_its_key(tmp_path):
    with pytest.raises(SuiteError) as caught:
        loaded(tmp_path, "variants.current.temperature=hot")

    assert caught.value.errors[0].address.endswith("/suite-keys/#variant-temperature")


def test_in_safe_mode_a_path_is_held_to_what_the_suite_may_name_and_tells_nothing(tmp_path):
    root = tmp_path / "root"
    write_files(tmp_path, {"secret/adapter_config.json": "{}"})

    for name in ("../secret", "../nothing"):
        (found,) = errors(root, f"variants.tuned.adapter={name}", safe=True)
        assert found.endswith(f"adapter: ../{name} lies outside {root}; move it below")


def test_a_place_in_the_file_is_not_that_of_a_key_which_was_set(tmp_path):
    before, after = loaded(tmp_path), loaded(tmp_path, "variants.tuned.adapter=new")

    assert before.places["variants.tuned.adapter"] == "evals/s.ftgate.yaml:5"
    assert "variants.tuned.adapter" not in after.places
    assert after.places["variants.tuned"] == "evals/s.ftgate.yaml:5"
