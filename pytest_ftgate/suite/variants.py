"""Resolve the variants of a suite: inherited keys, files, and the checks of each provider."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigurationError, did_you_mean
from pytest_ftgate.readers.source import is_glob
from pytest_ftgate.suite.addresses import address_error
from pytest_ftgate.suite.base_variants import base_errors, resolve_base, with_named_bases
from pytest_ftgate.suite.declaration import DeclaredLoad, DeclaredRetrieve, DeclaredVariant
from pytest_ftgate.suite.draft import SuiteDraft, VariantLocation
from pytest_ftgate.suite.formats import read_json_file
from pytest_ftgate.suite.ladder import PRICE_KEYS, resolve_tariff
from pytest_ftgate.suite.model import Case, Checkpoint, Retrieval, Suite, Variant
from pytest_ftgate.suite.providers import (
    LOADING_KEYS,
    OPTIONAL_EFFORTS,
    PROVIDERS,
    extra_errors,
    misplaced_keys,
    provider_alias,
    provider_spec,
    reads_key,
)
from pytest_ftgate.suite.rule import grades_pairs
from pytest_ftgate.suite.templates import (
    PASSAGES,
    TemplateError,
    case_variables,
    check_template,
    placeholder_message,
    template_errors,
    template_variables,
    unfilled_placeholders,
)

#: The key and the message of each error of a variant.
_Errors = Iterator[tuple[str, str]]


def _batch_errors(location: VariantLocation, merged: DeclaredVariant) -> _Errors:
    """Yield an error if the variant has a batch and tools, or an adapter that a run loads."""
    reasons = {
        # With tools, a request depends on the reply before it.
        "tools": "a batch is sent once, so it has no turns for tools; remove batch or tools",
        "adapter": "a batch may outlive the run that loads the adapter; remove batch or adapter",
    }
    for other, message in reasons.items():
        if merged.batch and getattr(merged, other):
            yield ("batch" if "batch" in location.declared.model_fields_set else other), message


def _takes_batches(variant: Variant) -> bool:
    """Return True if the API of *variant* is known to have batches, and it can be sent in one."""
    spec = provider_spec(variant.provider)
    if not spec.batch_module or variant.tools or variant.adapter:
        return False
    names_address = variant.base_url_env or variant.base_url not in (None, spec.url)
    return not (spec.any_server and names_address)


def with_batching(suite: Suite) -> Suite:
    """Return *suite* with ``batch`` set on exactly the variants that support it.

    Of the servers that share an API, only some have batches: where a variant names an address, its
    own ``batch`` decides.
    """
    variants = {
        name: replace(variant, batch=variant.batch or _takes_batches(variant))
        for name, variant in suite.variants.items()
    }
    return replace(suite, variants=variants)


_FUNCTION_REFERENCE = re.compile(r"[\w.]+:\w+")


def _resolve_retrieval(
    location: VariantLocation, declared: DeclaredVariant, templates: Iterable[str | None]
) -> Retrieval | None:
    """Return how a variant retrieves passages, or None if it does not. Errors are added."""
    retrieve, cases = declared.retrieve, location.suite.cases
    if retrieve is None:
        is_prompted = provider_spec(declared.provider).prompted
        if is_prompted and any(_uses_passages(template, cases) for template in templates):
            message = f'a template names "{PASSAGES}", but nothing is retrieved'
            location.add_error("retrieve", f'{message}; add retrieve: {{from: "docs/*.md"}}')
        return None
    if isinstance(retrieve, str):
        if not _FUNCTION_REFERENCE.fullmatch(retrieve):
            message = f'retrieve: "{retrieve}" is no module:function'
            remedy = f'for files write retrieve: {{from: "{retrieve}"}}'
            location.add_error("retrieve", f"{message}; {remedy}")
        elif error := _reference_error(retrieve, location.source.path.parent):
            location.add_error("retrieve", f"retrieve: {error}")
        return Retrieval(function=retrieve)
    paths = tuple(_retrieval_files(location, retrieve))
    return Retrieval(paths=paths, top=retrieve.top, chunk=retrieve.chunk)


def _uses_passages(template: str | None, cases: tuple[Case, ...]) -> bool:
    """Return True if *template* uses retrieved passages, and not a case variable of that name."""
    try:
        is_used = PASSAGES in template_variables(template or "")
    except TemplateError:  # reported with the template itself
        return False
    return is_used and not any(PASSAGES in case.vars for case in cases)


def _retrieval_files(location: VariantLocation, declared: DeclaredRetrieve) -> Iterator[Path]:
    source, line = location.source, location.line("retrieve")
    patterns = [declared.source] if isinstance(declared.source, str) else declared.source
    if not patterns:
        location.add_error("retrieve", "retrieve: from is an empty list; name a file or a glob")
    paths = chain.from_iterable(
        source.find_files(pattern, line, "retrieve: from") for pattern in patterns
    )
    case_files = {case.file for case in location.suite.cases}
    for path in dict.fromkeys(paths):
        name = source.display_path(path)
        if name in case_files:
            message = f"retrieve: {name} contains cases with their answers; leave it out"
            location.add_error("retrieve", message)
        # This read only reports errors. The content is read when requests are built.
        elif source.read_text(path, line, "retrieve") is not None:
            yield path


#: The expected value of a case in which no tool is to be called.
NO_TOOL = "none"
#: A reference to a function whose name is valid as a tool name in the APIs.
_TOOL_REFERENCE = re.compile(r"[^\W\d][\w.]*:[A-Za-z_][A-Za-z0-9_]{0,63}")


def _reference_error(reference: str, folder: Path) -> str | None:
    from pytest_ftgate.suite.function_references import reference_error

    return reference_error(reference, folder)


def _tool_errors(references: tuple[str, ...], folder: Path) -> Iterator[str]:
    for reference in references:
        if error := _reference_error(reference, folder):
            yield error
        elif not _TOOL_REFERENCE.fullmatch(reference):
            yield f'"{reference}" is no name that APIs take: letters, digits, _, at most 64'
    names = Counter(reference.partition(":")[2] for reference in references)
    if NO_TOOL in names:
        yield f"a tool cannot be called {NO_TOOL}, which cases expect where none is called"
    for name, count in names.items():
        if name and count > 1:
            yield f"{count} have the name {name}; rename one, since models call by name"


def check_tool_names(suite: SuiteDraft, variants: Mapping[str, Variant]) -> None:
    """Add an error for each tool that a case expects or the format requires, and no variant has."""
    references = {tool for variant in variants.values() for tool in variant.tools}
    known = {reference.partition(":")[2] for reference in references}
    # An invalid reference is an error already, and a case may expect the tool that it means.
    is_checkable = known and all(map(_TOOL_REFERENCE.fullmatch, references))
    for case in suite.cases if is_checkable else ():
        for name in _expected_tools(case):
            if name not in (NO_TOOL, *known):
                hint = did_you_mean(name, known) or f"; tools: {', '.join(sorted(known))}"
                message = f'expected "{name}" is a tool of no variant{hint}'
                suite.source.errors.append(case.error(message))
    for rule in suite.reply.format:
        if variants and rule.kind == "tool_call" and rule.value["name"] not in known:
            name = rule.value["name"]
            hint = did_you_mean(name, known) or "; give it to one under tools"
            message = f'tool_call: "{name}" is a tool of no variant{hint}'
            suite.source.add_error_at(("reply", "format"), message)


def _expected_tools(case: Case) -> Iterator[str]:
    """Yield the names of the tools that *case* expects."""
    is_tool_call = any(rule.kind == "tool_call" for rule in case.score.parts)
    if is_tool_call and case.expected is not None:
        yield from (c["name"] if isinstance(c, Mapping) else str(c) for c in case.answers)


_SAMPLING_KEYS = ("temperature", "top_p", "seed", "stop", "effort", "thinking")
_RUNTIME_KEYS = ("slots", "threads", "context")
#: Keys whose values are copied unchanged.
_COPIED_KEYS = (
    *("gated", "base_url", "base_url_env", "api_key_env", "api_version", "served_model", "scale"),
    *("max_tokens", "function", "extra", "tools", "batch", "compared", "uses"),
)
#: What a variant declares about its gates is its own, and not inherited.
_OWN_KEYS = ("gated", "compared")
#: The keys that say whose price a price is.
_PRICED_KEYS = ("provider", "model", "base_url", "base_url_env")
#: The keys of variants as they are written, by the names of the variants.
_Written = Mapping[str, Mapping[str, Any]]


def inherited_keys(variants: _Written, name: str) -> dict[str, Any]:
    """Return the keys of the variant *name* with those that it inherits through ``like``.

    Raises:
        ConfigurationError: a variant is like itself in the end, or like one that is not there.
    """
    keys: dict[str, Any] = {}
    for ancestor in reversed(_like_chain(variants, name)):
        own = variants[ancestor]
        # A price belongs to one model of one server, and price keys belong together.
        if not own.keys().isdisjoint({*_PRICED_KEYS, *PRICE_KEYS}):
            keys = {key: value for key, value in keys.items() if key not in PRICE_KEYS}
        keys.update({k: v for k, v in own.items() if ancestor == name or k not in _OWN_KEYS})
    return keys


def _like_chain(variants: _Written, name: str) -> list[str]:
    """Return the names of a variant and its ancestors by ``like``, the nearest first."""
    names: list[str] = []
    current: Any = name
    while isinstance(current, str):
        if current in names:
            raise ConfigurationError(f"like: {' -> '.join([*names, current])} is a circle")
        if current not in variants:
            hint = did_you_mean(current, variants)
            raise ConfigurationError(f'like: there is no variant "{current}"{hint}')
        names.append(current)
        current = variants[current].get("like")
    return names


def resolve_variants(suite: SuiteDraft) -> dict[str, Variant]:
    """Return the suite's variants in the order of the file. Errors are added."""
    declared = suite.declared.variants
    for name in declared:
        # It stands in lines of reports, in node ids and in commands.
        if not name.strip() or not name.isprintable():
            message = f"variant {name!r}: write a name in one line of printable characters"
            suite.source.add_error_at(("variants", name), message)
    written = {name: _written_keys(variant) for name, variant in declared.items()}
    resolved = {
        one.name: one.variant()
        for name, variant in declared.items()
        for one in _resolvers(_VariantResolver(suite, name, variant, written=written))
    }
    return with_named_bases(suite, {name: v for name, v in resolved.items() if v})


def _resolvers(resolver: _VariantResolver) -> Iterator[_VariantResolver]:
    """Yield what resolves a declared variant: itself, or one for each of its checkpoints."""
    merged, suite, name = resolver.merge_keys(), resolver.suite, resolver.name
    found = None
    if merged and is_glob(merged.adapter or merged.model or ""):
        from pytest_ftgate.suite.checkpoints import find_checkpoints

        found = find_checkpoints(resolver, merged)
    if found is None:
        yield resolver
        return
    if found and name == (suite.declared.baseline or next(iter(suite.declared.variants))):
        message = "the baseline is one model; name one checkpoint, or another baseline"
        resolver.add_error(next(iter(found[0].changes)), message)
    for one in found:
        yield replace(
            resolver,
            name=one.name,
            declared=resolver.declared.model_copy(update=dict(one.changes)),
            outer_path=resolver.key_path,
            outer_name=resolver.display_name,
            written={**resolver.written, one.name: {**resolver.written[name], **one.changes}},
            checkpoint=one.checkpoint,
        )


def resolve_variant(location: VariantLocation) -> Variant | None:
    """Return the variant at *location*, one outside the suite's ``variants``, such as a judge's.

    Its prompt is its own: the suite's prompt does not apply.
    """
    name, variant = location.name, location.declared
    alone = location.suite.declared.model_copy(update={"variants": {name: variant}, "prompt": None})
    suite, written = replace(location.suite, declared=alone), {name: _written_keys(variant)}
    outer_path, outer_name = location.outer_path, location.outer_name
    return _VariantResolver(suite, name, variant, outer_path, outer_name, written).variant()


def _written_keys(variant: DeclaredVariant) -> dict[str, Any]:
    return variant.model_dump(by_alias=True, exclude_unset=True)


#: How to use providers from plugins, where a command does not load plugins.
_OF_PLUGINS = "; only pytest knows those of its plugins: use pytest --ftgate --ftgate-plan"


@dataclass(frozen=True, slots=True)
class _VariantResolver(VariantLocation):
    """Resolves one variant, and adds errors at its keys; *written* has those of all variants."""

    written: _Written = field(default_factory=dict)
    checkpoint: Checkpoint | None = None

    def variant(self) -> Variant | None:
        """Return the variant, or None if an error leaves no usable one."""
        merged = self.merge_keys()
        if merged is None:
            return None
        system, path = self.read_prompt(merged.prompt)
        if (user := self.declared.user) is not None:
            key = f"{self.display_name}: user"
            check_template(self.source, self.line("user"), key, user, self.suite.cases)
        if not self.has_provider(merged.provider):
            return None
        missing = self.check_keys(merged, merged.provider or "")
        self.check_placeholders(merged, system, path)
        variant = self.build(merged, system, path)
        return None if missing else variant

    def build(self, merged: DeclaredVariant, system: str | None, path: Path | None) -> Variant:
        user = merged.user or ""
        return Variant(
            name=self.name,
            line=self.line(),
            provider=merged.provider or "",
            model=merged.model or "",
            system=system,
            user=user,
            **self.shots(merged, user),
            **self.output_constraint(merged),
            retrieve=_resolve_retrieval(self, merged, (system, user)),
            adapter=self.adapter(merged),
            **resolve_base(merged),
            training_data=self.find_training_data(merged),
            sampling=_written_values(merged, _SAMPLING_KEYS),
            replies=self.find_replies(merged),
            base_replies=self.find_file(merged.base_replies, "base_replies", folders=True),
            runtime=self.runtime(merged),
            max_turns=merged.max_turns or 8,
            tariff=resolve_tariff(self, merged),
            rung=merged.rung or "",
            prompt_path=path,
            checkpoint=self.checkpoint,
            **{key: getattr(merged, key) for key in _COPIED_KEYS},
            options=self.options(merged),
            revision=merged.load.revision if merged.load else None,
        )

    def shots(self, merged: DeclaredVariant, user: str) -> dict[str, Any]:
        """Return the few-shot examples as fields of `Variant`."""
        examples = merged.examples
        if examples is None:
            return {}
        from pytest_ftgate.suite.few_shot import resolve_shots

        shots = resolve_shots(self, examples, user)
        if examples.choose == "similar":
            return {"shot_pool": tuple(shots), "similar_shots": examples.shots}
        return {"shots": tuple(turn for shot in shots for turn in shot.turns)}

    def options(self, merged: DeclaredVariant) -> dict[str, Any]:
        """Return settings that one provider alone reads, or the columns of recorded replies."""
        columns = self.suite.declared.columns
        if merged.command is not None:
            from pytest_ftgate.suite.commands import command_options

            return command_options(self, merged.command)
        if merged.replies is None:
            return {**merged.options, **_written_values(merged.load, LOADING_KEYS)}
        from pytest_ftgate.suite.external_cases import recorded_options

        return recorded_options(merged.replies, columns)

    def find_replies(self, merged: DeclaredVariant) -> Path | None:
        if merged.replies is None:
            return None
        from pytest_ftgate.suite.external_cases import find_recording

        return find_recording(self, merged.replies, merged.format or "", self.options(merged))

    def runtime(self, merged: DeclaredVariant) -> dict[str, Any]:
        """Return settings that change no reply, and where keys stand that a package may lack for.

        What is missing here is found out when requests are sent: recorded replies need none of it.
        """
        values = _written_values(merged, _RUNTIME_KEYS)
        values |= _written_values(merged.load, ("device",))
        if merged.command is not None or merged.files:
            from pytest_ftgate.suite.commands import given_files

            values["files"] = given_files(self, merged.command or merged)
        places = {
            key: f"{self.source.display_path(self.source.path)}:{self.key_line('load', key)}"
            for key in _written_values(merged.load, LOADING_KEYS)
        }
        return {**values, "places": places} if places else values

    def find_training_data(self, merged: DeclaredVariant) -> Path | None:
        path = self.find_file(merged.training_data, "training_data")
        if path:
            from pytest_ftgate.suite.training_data import read_training_rows

            read_training_rows(self.source, path)
        return path

    def merge_keys(self) -> DeclaredVariant | None:
        """Return the variant's keys with those inherited through ``like``, or from the suite."""
        try:
            keys = inherited_keys(self.written, self.name)
        except ConfigurationError as error:
            self.add_error("like", str(error))
            return None
        # Inherited keys that the provider of the variant does not read are dropped.
        own, provider = self.declared.model_fields_set, keys.get("provider")
        keys = {k: value for k, value in keys.items() if k in own or reads_key(provider, k)}
        user = keys.get("user") or self.suite.declared.user
        keys = {"prompt": self.suite.declared.prompt, **keys, "user": user}
        return DeclaredVariant.model_validate(keys)

    def has_provider(self, provider: str | None) -> bool:
        """Return True if the provider is known; False after adding an error."""
        known = (*PROVIDERS, *(self.source.plugins.providers or ()))
        if provider is None:
            self.add_missing("provider", f"provider is missing; one of {', '.join(known)}")
        elif provider not in known:
            hint = provider_alias(provider) or did_you_mean(provider, known)
            more = _OF_PLUGINS if self.source.plugins.providers is None else ""
            hint = hint or f"; known: {', '.join(known)}{more}"
            self.add_error("provider", f'unknown provider "{provider}"{hint}')
        return provider in known

    def check_keys(self, merged: DeclaredVariant, provider: str) -> list[str]:
        """Add the errors of the keys, and return those that the provider needs and has not."""
        missing = [key for key in provider_spec(provider).required if not getattr(merged, key)]
        for key in missing:
            self.add_missing(key, f"provider {provider} needs {key}")
        for key, message in self.key_errors(merged, provider):
            self.add_error(key, message)
        return missing

    def key_errors(self, merged: DeclaredVariant, provider: str) -> _Errors:
        """Yield what is wrong with the keys of a variant of a known provider."""
        folder, written = self.source.path.parent, self.declared.model_fields_set
        function = self.declared.function if reads_key(provider, "function") else None
        if function and (error := _reference_error(function, folder)):
            yield "function", f"function: {error}"
        yield from misplaced_keys(provider, written)
        yield from self.setting_errors(merged)
        yield from self.tuning_errors(merged)
        if "tools" in written:
            yield from (("tools", f"tools: {why}") for why in _tool_errors(merged.tools, folder))
        if "max_turns" in written and not merged.tools:
            yield "max_turns", "max_turns without tools: without tools there is one turn; remove it"
        yield from _batch_errors(self, merged)
        # Something must be able to fail a variant that is not compared.
        baseline = self.suite.declared.baseline or next(iter(self.suite.declared.variants))
        if not self.declared.compared and self.name == baseline:
            yield "compared", "compared: this is the baseline, so remove compared: false"
        elif not self.declared.compared and grades_pairs(self.suite.reply.score):
            why = "the judge only compares with the baseline; write gated: false"
            yield "compared", f"compared: {why}"
        if error := address_error(self.declared.base_url):
            yield "base_url", error

    def setting_errors(self, merged: DeclaredVariant) -> _Errors:
        """Yield the errors of ``extra`` and ``effort``."""
        written, provider = self.declared.model_fields_set, merged.provider
        if "extra" in written and reads_key(provider, "extra"):
            yield from (("extra", message) for message in extra_errors(merged.extra, provider))
        effort = self.declared.effort
        if effort in OPTIONAL_EFFORTS and effort not in provider_spec(provider).efforts:
            message = f"effort: {effort} means nothing to provider {provider}"
            yield "effort", f"{message}; write low, medium, high, xhigh or max"

    def tuning_errors(self, merged: DeclaredVariant) -> _Errors:
        """Yield the errors of a fine-tuned variant: of adapter, base and training data."""
        if "scale" in self.declared.model_fields_set and merged.adapter is None:
            yield "scale", "scale needs an adapter; add adapter, or remove scale"
        has_base, spec = merged.base or merged.base_replies, provider_spec(merged.provider)
        is_trained = has_base or merged.rung == "fine-tuned" or spec.classifier
        if merged.training_data and not (merged.adapter or is_trained):
            message = "training_data needs an adapter or a base; add one, or remove training_data"
            yield "training_data", message
        if merged.adapter and spec.adapter == "served" and not has_base:
            message = "adapter without base: name its untuned model at the same server, base: NAME"
            yield "adapter", message
        if merged.base is None:
            return
        for message in base_errors(merged, self.name, self.suite.declared.variants):
            yield "base", message
        if not spec.prompted:
            message = f"base: provider {merged.provider} has no untuned model to compare with"
            yield "base", f"{message}; write base_replies: and a file of its replies"

    def read_prompt(self, written_path: str | None) -> tuple[str | None, Path | None]:
        """Return the system prompt and its file."""
        source, is_own = self.source, self.declared.prompt is not None
        line = self.line("prompt") if is_own else source.line("prompt")
        path = source.find_file(written_path, line, "prompt") if written_path else None
        text = source.read_text(path, line, "prompt") if path else None
        if text is None:
            return None, path
        for line_number, message in template_errors(text, self.suite.cases):
            source.add_error(line_number, message, path)
        return text.removesuffix("\n"), path

    def check_placeholders(
        self, merged: DeclaredVariant, system: str | None, path: Path | None
    ) -> None:
        """Add a warning for each template whose placeholders would be sent as they stand."""
        spec, source = provider_spec(merged.provider), self.source
        if spec.recorded or not spec.prompted:
            return
        user = "" if all(case.messages for case in self.suite.cases) else merged.user or ""
        names = case_variables(self.suite.cases) | ({PASSAGES} if merged.retrieve else set())
        for template, other, file in ((system or "", user, path), (user, system or "", None)):
            if found := unfilled_placeholders(template, [other], names, self.suite.cases):
                line = found[0].line if file else self.key_line("user")
                key = "" if file else "user: "
                source.add_warning(line, f"{key}{placeholder_message(found)}", file)

    def key_line(self, *keys: str) -> int:
        """Return the line of a key or of one below it, which a variant or the suite may lend."""
        source, chain = self.source, _like_chain(self.written, self.name)
        owner = next((name for name in chain if keys[0] in self.written[name]), None)
        if owner == self.name:
            return source.line(*self.key_path, *keys)
        return source.line("variants", owner, *keys) if owner else source.line(*keys)

    def adapter(self, merged: DeclaredVariant) -> Path | None:
        found = self.find_file(merged.adapter, "adapter", anywhere=True, folders=True)
        if found is None:
            return None
        from pytest_ftgate.adapters import lora

        path = lora.adapter_path(found)
        checks = {
            "gguf": lora.unusable_reason,
            "peft": lora.peft_problem,
            "served": lora.missing_config,
        }
        check = checks.get(provider_spec(merged.provider).adapter)
        if check and (reason := check(path)):
            self.add_error("adapter", f"adapter: {merged.adapter} {reason}")
        return path

    def output_constraint(self, merged: DeclaredVariant) -> dict[str, Any]:
        """Return the constraint on replies, as fields of `Variant`.

        ``response_schema`` is the path of a schema, or True for the suite's format.
        """
        declared = merged.response_schema
        if isinstance(declared, str):
            line, what = self.line("response_schema"), f"{self.display_name}: response_schema"
            schema = read_json_file(self.source, declared, line, what)
            from pytest_ftgate.suite.grammars import schema_size_error

            is_schema = isinstance(schema, dict)
            problem = schema_size_error(schema) if is_schema else "one is a JSON object"
            if problem:
                message = f"{what}: {declared} is no schema; {problem}"
                self.source.add_error(line, message)
            return {"schema": schema}
        kinds = [rule.kind for rule in self.suite.reply.format]
        usable = provider_spec(merged.provider).enforces
        if declared and not set(usable) & set(kinds):
            message = f"response_schema needs a reply.format of {' or '.join(usable)}"
            self.add_error("response_schema", f"{message} with provider {merged.provider}")
        return {"constrained": bool(declared)}


def _written_values(
    declared: DeclaredVariant | DeclaredLoad | None, keys: tuple[str, ...]
) -> dict[str, Any]:
    """Return the values of *keys* that are written and not empty."""
    written = declared.model_fields_set if declared else set[str]()
    values = {key: getattr(declared, key) for key in keys if key in written}
    return {key: value for key, value in values.items() if value not in (None, ())}
