"""The checkpoints of a training that a variant names by a glob."""

from __future__ import annotations

import pytest
from ftgate_testing.suite_files import PEFT, Like, errors_of, load_variants, suite_text, write_files
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.suite.checkpoints import only_deciding, with_chosen
from pytest_ftgate.suite.loader import load_suite

BASE = "base: {provider: llamacpp, model: m.gguf}"
TUNED = "tuned: {like: base, adapter: out/checkpoint-*}"
CONFIG, WEIGHTS = PEFT["out/adapter_config.json"], "weights"


def saved(*names):
    """Return the files of the checkpoints *names*."""
    files = {f"{name}/adapter_config.json": CONFIG for name in names}
    return files | {f"{name}/adapter_model.safetensors": WEIGHTS for name in names}


THREE = saved("out/checkpoint-9", "out/checkpoint-100", "out/checkpoint-20")


def loaded(folder, *variants, files=THREE, **parts):
    return load_variants(folder, *variants, files=files, **parts)


def test_each_checkpoint_is_a_variant_in_the_order_of_steps_and_the_last_decides(tmp_path):
    suite = loaded(tmp_path, BASE, TUNED)

    found = [one.checkpoint for one in suite.variants.values() if one.checkpoint]
    assert [*suite.variants] == [
        *("base", "tuned-checkpoint-9", "tuned-checkpoint-20", "tuned-checkpoint-100")
    ]
    assert [(one.of, one.label, one.step, one.decides) for one in found] == [
        ("tuned", "checkpoint-9", 9, False),
        ("tuned", "checkpoint-20", 20, False),
        ("tuned", "checkpoint-100", 100, True),
    ]
    adapters = [suite.variants[f"tuned-{one.label}"].adapter for one in found]
    assert adapters == [tmp_path / "out" / one.label for one in found]
    # They have one line, and one place to edit.
    assert {one.line for one in suite.variants.values()} == {4, 5}
    assert suite.places["variants.tuned-checkpoint-9.adapter"] == "s.ftgate.yaml:5"


#: Variants, files, and the names of what they are with their models.
FOUND = [
    # One that inherits a glob is a training too.
    ([BASE, TUNED, "short: {like: tuned, max_tokens: 5}"], saved("out/checkpoint-1"),
     {"base": "m.gguf", "tuned-checkpoint-1": "m.gguf", "short-checkpoint-1": "m.gguf"}),
    # Merged models.
    ([BASE, "tuned: {like: base, model: out/step*.gguf}"],
     {"out/step2.gguf": "", "out/step10.gguf": ""},
     {"base": "m.gguf", "tuned-step2": "out/step2.gguf", "tuned-step10": "out/step10.gguf"}),
    # The name is what the wildcards stand for.
    ([BASE, "tuned: {like: base, adapter: 'out/run-*/final'}"], saved("out/run-3/final"),
     {"base": "m.gguf", "tuned-run-3": "m.gguf"}),
    # Brackets in a name are no wildcard where there is such a folder.
    ([BASE, "tuned: {like: base, adapter: 'out[1]'}"], saved("out[1]"),
     {"base": "m.gguf", "tuned": "m.gguf"}),
    # A server knows each adapter by a name of its own.
    (["a: {provider: anthropic, model: m}",
      ("tuned: {provider: openai-compatible, base_url: 'http://h/v1', model: t, base: b, "
      "adapter: out/checkpoint-*}")], saved("out/checkpoint-1", "out/checkpoint-2"),
     {"a": "m", "tuned-checkpoint-1": "t-checkpoint-1", "tuned-checkpoint-2": "t-checkpoint-2"}),
]  # fmt: skip


@every_row("variants, files, models", FOUND)
def test_what_a_glob_stands_for(tmp_path, variants, files, models):
    suite = loaded(tmp_path, *variants, files=files)

    assert {name: one.model for name, one in suite.variants.items()} == models


ONE_TRAINING = "a glob names the checkpoints of one training, such as out/checkpoint-*"
AT = '5: variant "tuned": adapter: out/checkpoint-*: '
#: The variants, the files, and the error.
WRONG = [
    ([BASE, TUNED], {}, f"{AT}nothing matches it (looked in out/, which is no folder)"),
    ([BASE, TUNED], {"out/a.txt": ""}, f"{AT}nothing matches it (looked in out/)"),
    ([BASE, TUNED], saved("out/checkpoint-1", "out/checkpoint-best"),
     (f'{AT}checkpoint-best has no step, a number in its name; write "out/checkpoint-[0-9]*", or '
     "remove checkpoint-best")),
    ([BASE, "tuned: {like: base, model: s*}"], {"s.gguf": ""},
     f'5: variant "tuned": model: s*: s has no step, a number in its name; {ONE_TRAINING}'),
    # In whichever order these would stand, the wrong one might decide.
    ([BASE, TUNED], saved("out/checkpoint-1.5", "out/checkpoint-1.25"),
     f"{AT}checkpoint-1.25 has a fraction, and steps are whole numbers; rename it"),
    ([BASE, TUNED], saved("out/checkpoint-9", "out/checkpoint-09"),
     f"{AT}out/checkpoint-09 and out/checkpoint-9 are one step; {ONE_TRAINING}"),
    ([BASE, TUNED], {**saved("out/checkpoint-9"), "out/checkpoint-9.gguf": ""},
     f"{AT}out/checkpoint-9 and out/checkpoint-9.gguf are one step; {ONE_TRAINING}"),
    ([BASE, "tuned: {like: base, adapter: 'out/*/../checkpoint-9'}"], THREE,
     ('5: variant "tuned": adapter: out/*/../checkpoint-9: no .. may follow a wildcard; '
     f"{ONE_TRAINING}")),
    ([BASE, TUNED], saved("out/checkpoint-1") | {"out/checkpoint-2.tar": ""},
     f"{AT}it matches checkpoint-1 and checkpoint-2.tar; {ONE_TRAINING}"),
    ([BASE, TUNED], saved("out/checkpoint-1[x]"),
     f"{AT}'checkpoint-1[x]' cannot be a part of a name; write letters, digits and . _ + -"),
    ([BASE, TUNED, "tuned-checkpoint-9: {like: base}"], THREE,
     f"{AT}a variant is called tuned-checkpoint-9 already; rename it"),
    ([BASE, "tuned: {like: base, adapter: 'out/**'}"], THREE,
     '5: variant "tuned": adapter: out/**: ** takes in folders of any depth; ' + ONE_TRAINING),
    # A checkpoint that is still being written is not left out.
    ([BASE, TUNED], {**THREE, "out/checkpoint-200/optimizer.pt": ""},
     Like('5: variant "tuned": adapter: out/checkpoint-200 has no adapter_config.json...')),
    (["tuned: {provider: llamacpp, model: m.gguf, adapter: out/checkpoint-*}"], THREE,
     '4: variant "tuned": the baseline is one model; name one checkpoint, or another baseline'),
    ([BASE, "tuned: {like: base, model: out/s*.gguf}",
      "other: {provider: llamacpp, model: n.gguf, base: tuned}"], {"out/s1.gguf": ""},
     '6: variant "other": base: variant tuned is several checkpoints; name one model'),
]  # fmt: skip


@every_row("variants, files, error", WRONG)
def test_what_is_no_training_is_an_error_at_its_key(tmp_path, variants, files, error):
    assert errors_of(loaded, tmp_path, *variants, files=files) == [error]


def test_the_last_checkpoint_stands_for_its_variant_in_the_ladder(tmp_path):
    more = "serves: tuned\nchallengers: [base, tuned]\neconomics: {calls_per_day: 10, variants: "
    more += "{tuned: {training_usd: 7}}}\n"
    suite = loaded(tmp_path, BASE, TUNED, more=more)

    assert suite.serves == "tuned-checkpoint-100"
    assert suite.challengers == ("base", "tuned-checkpoint-100")
    assert suite.economics is not None
    assert suite.economics.variants["tuned-checkpoint-100"].training_usd == 7
    assert [*only_deciding(suite).variants] == ["base", "tuned-checkpoint-100"]


@every_row("names, deciding", [
    ((), ["base", "tuned-checkpoint-100"]),
    (("base",), ["base", "tuned-checkpoint-100"]),
    (("tuned",), ["base", "tuned-checkpoint-100"]),
    (("tuned-checkpoint-9",), ["base", "tuned-checkpoint-9"]),
    (("tuned-checkpoint-9", "tuned-checkpoint-20"),
     ["base", "tuned-checkpoint-9", "tuned-checkpoint-20"]),
])  # fmt: skip
def test_checkpoints_that_a_run_selects_decide(tmp_path, names, deciding):
    suite = with_chosen(loaded(tmp_path, BASE, TUNED), names)

    assert [*only_deciding(suite).variants] == deciding


@every_row("pattern", ["../secret-*", "link*/*", "link*/nothing*"])
def test_in_safe_mode_no_glob_looks_outside_the_root(tmp_path, pattern):
    root = tmp_path / "root"
    write_files(tmp_path, saved("secret-1"))
    text = suite_text(BASE, f"tuned: {{like: base, adapter: '{pattern}'}}")
    write_files(root, {"s.ftgate.yaml": text, "t.jsonl": "", "m.gguf": ""})
    (root / "link-1").symlink_to(tmp_path)

    with pytest.raises(SuiteError) as caught:
        load_suite(root / "s.ftgate.yaml", root, safe=True)

    # The error does not say what lies there.
    told = f"{pattern}: it leads outside {root}; --ftgate-safe does not allow it"
    assert [error.message for error in caught.value.errors] == [f'variant "tuned": adapter: {told}']
