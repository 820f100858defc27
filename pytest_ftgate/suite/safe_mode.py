"""Safe mode: what a suite may not name where its author is a stranger."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from os.path import expanduser
from pathlib import Path
from typing import Any

from pytest_ftgate.adapters.lora import LoraConfig
from pytest_ftgate.errors import ConfigurationError, Diagnostic, SuiteError
from pytest_ftgate.paths import exists
from pytest_ftgate.readers.file_limits import FileLimits
from pytest_ftgate.readers.source import hidden_part, real_path
from pytest_ftgate.suite.javascript import source_name
from pytest_ftgate.suite.model import Case, Suite, Variant
from pytest_ftgate.suite.providers import PROVIDERS, provider_spec
from pytest_ftgate.suite.rule import JAVASCRIPT, PYTHON_KINDS, Rule
from pytest_ftgate.weights import CHECKPOINT_FILES, KNOWN_MODELS
from pytest_ftgate.weights_file import gguf_parts

#: The most cases of a suite, replies to each case, and replies of all variants together.
MAX_CASES, MAX_REPEATS, MAX_REPLIES = 20_000, 100, 200_000
_ENDING = "--ftgate-safe does not allow it"
#: The most that is read of the files that a suite names, weights apart.
SAFE_LIMITS = FileLimits(
    file=64_000_000,
    document=4_000_000,
    files=256_000_000,
    unpacked=256_000_000,
    cases=MAX_CASES,
    option="--ftgate-safe",
)


def check_safe(suite: Suite, root: Path, variables: Collection[str] = ()) -> None:
    """Raise unless safe mode allows everything that *suite* names. *root* holds its files.

    *variables* are those of the environment that the configuration names as addresses.

    Raises:
        SuiteError: the suite names code, plugins or files elsewhere, or is too large.
    """
    variants = [*suite.variants.values(), *(judge.variant for judge in suite.judges)]
    errors = [
        Diagnostic(suite.name, variant.line, f'variant "{variant.name}": {message}; {_ENDING}')
        for variant in variants
        for message in chain(
            _variant_errors(variant, suite.path.parent, root), _address_errors(variant, variables)
        )
    ]
    beside = (suite.accepted_path, suite.replies_path)
    errors += [
        Diagnostic(suite.name, 0, f"{path.name} leads {place}; {_ENDING}")
        for path in beside
        if (place := _place_elsewhere(path, root))
    ]
    errors += _rule_errors(suite)
    errors += [Diagnostic(suite.name, 0, message) for message in _size_errors(suite)]
    found = ((path.name, SAFE_LIMITS.problem(path)) for path in beside)
    errors += [Diagnostic(name, 0, problem) for name, problem in found if problem]
    if errors:
        raise SuiteError(suite.name, errors)


def _variant_errors(variant: Variant, folder: Path, root: Path) -> Iterator[str]:
    spec = provider_spec(variant.provider)
    if variant.provider not in PROVIDERS:
        yield f"provider {variant.provider} is a plugin's"
    if spec.starts_programs:
        yield "command: it runs a program"
    if variant.function:
        yield f"function: {variant.function} is Python"
    if variant.retrieve and variant.retrieve.function:
        yield f"retrieve: {variant.retrieve.function} is Python"
    for tool in variant.tools:
        yield f"tools: {tool} is Python"
    base: Mapping[str, Any] = variant.base_fields
    if spec.weights:
        models = [variant.model, *filter(None, [variant.base, base.get("model")])]
        for model in dict.fromkeys(models):
            if model not in KNOWN_MODELS:
                yield from _place_errors("model", model, folder, root)
    for adapter in filter(None, (variant.adapter, base.get("adapter"))):
        yield from _place_errors("adapter", str(adapter), folder, root)
        yield from _template_errors(folder / adapter, root)


def _address_errors(variant: Variant, variables: Collection[str]) -> Iterator[str]:
    for name in (variant.base_url_env, variant.base_fields.get("base_url_env")):
        if name and name not in variables:
            yield f"base_url_env: {name} is no address that ftgate_keys names, as KEY@${name}"


def _place_errors(key: str, written: str, folder: Path, root: Path) -> Iterator[str]:
    """Yield why the weights at *written* are not below *root*, with all that a folder holds."""
    # Not Path.expanduser, which fails for the home of a user who does not exist.
    path = folder / expanduser(written)  # noqa: PTH111
    if not _is_below(path, root):
        yield f"{key}: {written} lies outside {root}"
    elif not exists(path):
        # A name in the cache of Hugging Face would be found elsewhere.
        yield f"{key}: {written} is no file and no folder below {root}"
    else:
        for file in path.rglob("*") if path.is_dir() else _read_with(path):
            if not _is_below(file, root):
                yield f"{key}: {written}: {file.name} leads outside {root}"
                return


def _read_with(path: Path) -> Iterator[Path]:
    """Yield the files of the weights at *path*, and those beside them that describe them."""
    yield from gguf_parts(path)
    for pattern in CHECKPOINT_FILES:
        yield from path.parent.glob(pattern)


def _template_errors(adapter: Path, root: Path) -> Iterator[str]:
    """Yield an error if the chat template of *adapter* would come from a folder elsewhere."""
    with suppress(ConfigurationError):
        folder = adapter if adapter.is_dir() else adapter.parent
        base = folder / expanduser(LoraConfig.read(folder).base)  # noqa: PTH111 - as above
        if base.is_dir() and not _is_below(base, root):
            yield f"adapter: {adapter.name}: base_model_name_or_path lies outside {root}"


def _place_elsewhere(path: Path, root: Path) -> str:
    """Return where *path* leads, if that is not among the files that a stranger may name; or ""."""
    if not _is_below(path, root):
        return f"outside {root}"
    hidden = hidden_part(real_path(path), root.resolve(), safe=True)
    return f"into {hidden}" if hidden else ""


def _is_below(path: Path, root: Path) -> bool:
    return real_path(path).is_relative_to(root.resolve())


def _rule_errors(suite: Suite) -> Iterator[Diagnostic]:
    """Yield the errors in the rules of *suite* and of its cases, each rule once."""
    seen = set[str]()
    for rule in (suite.reply.score, *suite.reply.format):
        for message in _rule_messages(rule, seen):
            yield Diagnostic(suite.name, 0, f"reply: {message}; {_ENDING}")
    for case in _all_cases(suite):
        for rule in (case.score, *case.format):
            for message in _rule_messages(rule, seen):
                yield case.error(f'case "{case.id}": {message}; {_ENDING}')


def _all_cases(suite: Suite) -> Iterator[Case]:
    of_gates = (gate.own_cases for gate in suite.gates.values())
    inputs = suite.inputs.cases if suite.inputs else ()
    return chain(suite.cases, suite.holdout, inputs, *of_gates)


def _rule_messages(rule: Rule, seen: set[str]) -> Iterator[str]:
    if rule.key in seen:
        return
    seen.add(rule.key)
    for part in _nested_rules(rule):
        if part.kind in PYTHON_KINDS:
            yield f"{part.kind}: {part.value} is Python"
        elif part.kind == JAVASCRIPT:
            yield f"javascript: {source_name(part)} is code that would run here"
        elif part.kind == "offered":
            yield f"{part.value} is a plugin's"
        elif part.options.get("sandbox") == "none":
            yield "sandbox: none lets replies do all that you may"


def _nested_rules(value: Any) -> Iterator[Rule]:
    """Yield every rule in *value*: itself, its parts, and those in its options."""
    if isinstance(value, Rule):
        yield value
        yield from _nested_rules((value.value, value.options))
    elif isinstance(value, Mapping):
        yield from _nested_rules(tuple(value.values()))
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _nested_rules(member)


def _size_errors(suite: Suite) -> Iterator[str]:
    cases = sum(1 for _ in _all_cases(suite))
    repeats = suite.repeats or 1
    replies = cases * repeats * len(suite.variants)
    limits = {"cases": MAX_CASES, "repeats": MAX_REPEATS, "replies": MAX_REPLIES}
    for (name, most), count in zip(limits.items(), (cases, repeats, replies), strict=True):
        if count > most:
            yield f"{count:,} {name}; --ftgate-safe allows {most:,}"
