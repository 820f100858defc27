"""The suite as training evaluates it: the model in memory, and fewer cases."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigurationError, did_you_mean
from pytest_ftgate.readers.text import as_mapping
from pytest_ftgate.suite.gate_kinds import (
    compares_skills,
    is_rate,
    reads_contents,
)
from pytest_ftgate.suite.model import Case, Gate, Suite, digest
from pytest_ftgate.suite.providers import provider_spec
from pytest_ftgate.suite.variants import inherited_keys

#: The name under which suites know the model in memory.
IN_MEMORY = "in-memory"
#: The keys of a variant that hold for a model in memory as well.
_KEPT_KEYS = (
    *("prompt", "user", "examples", "retrieve", "training_data"),
    *("max_tokens", "temperature", "top_p", "seed", "stop", "response_schema"),
)
#: The keys of a suite that concern other variants.
_DROPPED_KEYS = ("serves", "challengers", "economics", "ladder")
#: How the names of metrics begin; trainers want eval_ there.
METRICS = "eval_ftgate_"
_TUNED_KEYS = ("adapter", "base", "base_replies")


def trained_variant(content: Mapping[str, Any], name: str | None) -> str:
    """Return the name of the variant that is being trained; *name* if it is one.

    Raises:
        ConfigurationError: it is not clear which one it is, or a variant is like itself.
    """
    variants = as_mapping(content.get("variants"))
    if name is not None:
        if name not in variants:
            raise ConfigurationError(
                f'variant="{name}": the suite has none of that name{did_you_mean(name, variants)}'
            )
        return name
    gated = [key for key in variants if _keys_of(variants, key).get("gated", True)]
    tuned = [key for key in gated if _keys_of(variants, key).keys() & {*_TUNED_KEYS}]
    found = tuned or gated
    if len(found) != 1:
        raise ConfigurationError(
            f"which variant is being trained? write variant=, one of {', '.join(found) or 'none'}"
        )
    return str(found[0])


def _keys_of(variants: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the keys of a variant with those inherited through ``like``, which is left out."""
    # What is no mapping becomes an error when the suite is loaded.
    keys = inherited_keys({key: as_mapping(keys) for key, keys in variants.items()}, name)
    return {key: value for key, value in keys.items() if key != "like"}


def in_memory_content(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the content of a suite with the variant *name* and its baseline alone.

    The model in memory answers for *name*, and its base for a baseline whose weights are on this
    machine.
    """
    variants = content["variants"]
    trained = _in_memory(_keys_of(variants, name), model="trained", base="untrained")
    baseline = content.get("baseline") or next(iter(variants))
    kept = {name: trained}
    if baseline != name and baseline in variants:
        base = _keys_of(variants, baseline)
        if provider_spec(base.get("provider")).weights:
            base = _in_memory(base, model="untrained")
        kept = {baseline: {**base, "gated": False}, name: trained}
    return _with_variants(content, kept, baseline)


def _in_memory(keys: Mapping[str, Any], **names: str) -> dict[str, Any]:
    """Return those of *keys* that hold for a model in memory, with its *names*."""
    kept = {key: keys[key] for key in _KEPT_KEYS if key in keys}
    return {**kept, "provider": IN_MEMORY, **names}


def _with_variants(
    content: Mapping[str, Any], variants: Mapping[str, Mapping[str, Any]], baseline: str
) -> dict[str, Any]:
    """Return *content* with other *variants*, which have all keys that they inherit."""
    rest = {key: value for key, value in content.items() if key not in _DROPPED_KEYS}
    return {**rest, "variants": variants, "baseline": baseline}


def with_weights(suite: Suite, name: str, model: str, base: str, extra: Mapping[str, Any]) -> Suite:
    """Return *suite* with the names of the weights in memory.

    Both sides are in this process, so that no replies need to prove which of them answered.
    """
    variants = {
        key: replace(variant, model=base, extra=extra) if variant.provider == IN_MEMORY else variant
        for key, variant in suite.variants.items()
    }
    trained = replace(suite.variants[name], model=model, base=base, extra=extra, is_proven=True)
    return replace(suite, variants={**variants, name: trained})


def saved_content(content: Mapping[str, Any], name: str, folder: Path) -> dict[str, Any]:
    """Return the content of a suite whose variant *name* has what a training saved in *folder*.

    That is its adapter, or its model. Of the others its baseline and its base stay.
    """
    variants = content["variants"]
    keys = {**_keys_of(variants, name), saved_key(content, name): str(folder), "gated": True}
    baseline = content.get("baseline") or next(iter(variants))
    others = [str(other) for other in (baseline, keys.get("base")) if other in variants]
    kept = {other: {**_keys_of(variants, other), "gated": False} for other in others}
    return _with_variants(content, {**kept, name: keys}, baseline)


def saved_key(content: Mapping[str, Any], name: str) -> str:
    """Return the key of the variant *name* that names what a training saves.

    Raises:
        ConfigurationError: its provider cannot read such a folder.
    """
    keys = _keys_of(content["variants"], name)
    if "adapter" in keys:
        return "adapter"
    spec = provider_spec(keys.get("provider"))
    if spec.weights == "checkpoint" or spec == provider_spec(None):
        return "model"
    raise ConfigurationError(
        f'through="{name}": no key of this variant names the folder that a training saves; write '
        "adapter: FOLDER there, or provider: transformers with the folder as its model"
    )


def loads_here(content: Mapping[str, Any], name: str) -> bool:
    """Return True if the variant *name* is read by Transformers in this process."""
    provider = _keys_of(content["variants"], name).get("provider")
    return provider_spec(provider).weights == "checkpoint"


def checkpoint_gates(suite: Suite) -> Suite:
    """Return *suite* without gates on money and time.

    A checkpoint has a cheap look of its own, so that gates on skills have no other.
    """
    gates = {
        key: replace(gate, stop_early=False) if compares_skills(gate) else gate
        for key, gate in suite.gates.items()
        if reads_contents(gate)
    }
    return replace(suite, gates=gates)


def metric_name(gate: Gate) -> str:
    """Return the name of what *gate* rates, for the trainer: ``eval_ftgate_general_skills``."""
    name = "general_skills" if compares_skills(gate) else re.sub(r"\W+", "_", gate.name)
    return f"{METRICS}{name}"


def extra_of(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the ``extra`` of the variant *name*, such as arguments of its chat template."""
    return dict(as_mapping(_keys_of(content["variants"], name).get("extra")))


def with_fewer_cases(suite: Suite, count: int, whole: Collection[str] = ()) -> Suite:
    """Return *suite* with at most *count* of its cases, and of the cases of each gate on skills.

    They are spread evenly over the labels or the tags, and over the skills, and are the same at
    each checkpoint. The gates *whole* keep all that they are evaluated on.
    """
    gates = {
        name: gate if name in whole else _with_fewer_skill_cases(gate, count)
        for name, gate in suite.gates.items()
    }
    needs_all = any(not gates[name].own_cases for name in whole)
    cases = suite.cases if needs_all else _spread(suite.cases, count, _stratum)
    return replace(suite, cases=cases, gates=gates)


def count_questions(suite: Suite) -> int:
    """Return how many questions the model in memory is asked for the gates of *suite*.

    With repeats, and with further replies to cases that were wrong, it answers some of them again.
    """
    of_skills = (
        len(gate.cases) * len(gate.prompt_modes)
        for gate in suite.gates.values()
        if compares_skills(gate)
    )
    return sum(of_skills) + len(suite.cases) * any(map(is_rate, suite.gates.values()))


def _with_fewer_skill_cases(gate: Gate, count: int) -> Gate:
    cases = getattr(gate, "cases", ())
    if not cases:
        return gate
    chosen = _spread(cases, count, lambda case: str(case.skill))
    return replace(gate, cases=chosen)  # type: ignore[call-arg]


def _stratum(case: Case) -> str:
    if isinstance(case.answers[0], str) and len(case.answers[0].split()) == 1:
        return case.answers[0]
    return case.tags[0] if case.tags else ""


def _spread(
    cases: Iterable[Case], count: int, stratum_of: Callable[[Case], str]
) -> tuple[Case, ...]:
    """Return *count* cases, one of each stratum in turn, in their order."""
    cases = tuple(cases)
    strata: dict[str, list[Case]] = defaultdict(list)
    for case in sorted(cases, key=lambda case: digest(case.id)):
        strata[stratum_of(case)].append(case)
    rounds = [(turn, case) for group in strata.values() for turn, case in enumerate(group)]
    rounds.sort(key=lambda pair: pair[0])
    # Must-pass cases decide alone, so none is left out.
    chosen = {case.id for _, case in rounds[:count]}
    chosen |= {case.id for case in cases if case.must_pass or case.must_keep}
    return tuple(case for case in cases if case.id in chosen)
