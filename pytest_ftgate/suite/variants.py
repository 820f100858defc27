"""The variants of a suite: inheritance by ``like``, the files that they name, what each needs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from jinja2 import TemplateError
from pydantic import ValidationError

from pytest_ftgate.errors import Fault, Unavailable, did_you_mean
from pytest_ftgate.readers.source import Source
from pytest_ftgate.readers.yaml import Document
from pytest_ftgate.suite.declaration import DeclaredRetrieve, DeclaredSuite, DeclaredVariant
from pytest_ftgate.suite.few_shot import shots_of
from pytest_ftgate.suite.ladder import inherited, tariff_of
from pytest_ftgate.suite.location import Place
from pytest_ftgate.suite.model import Case, ReplyRules, Retrieve, Suite, Variant
from pytest_ftgate.suite.plugins import SuiteSource
from pytest_ftgate.suite.providers import HOSTED, PROVIDERS, UNASKED, misplaced, understands
from pytest_ftgate.suite.references import reference_fault
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.templates import PASSAGES, check_user, names
from pytest_ftgate.suite.training_data import training_rows

__all__ = [
    "NONE",
    "address",
    "check_batch",
    "check_called",
    "check_expected",
    "check_tools",
    "in_batches",
    "resolve_one",
    "resolve_variants",
    "retrieve_of",
]

#: Where each SDK looks for an address of its own accord.
_USUAL = {
    "anthropic": "ANTHROPIC_BASE_URL",
    "bedrock": "ANTHROPIC_BEDROCK_BASE_URL",
    "openai-compatible": "OPENAI_BASE_URL",
}


def address(variant: Variant, environ: Mapping[str, str]) -> str | None:
    """Return where the variant is asked, or None for the provider's own place.

    Credentials inside the address are cut off: it goes into fingerprints and reports.

    Raises:
        Unavailable: it is not set, or is no address.
    """
    name = variant.base_url_env
    if name is not None and not environ.get(name):
        raise Unavailable(
            f'variant "{variant.name}": {name} is not set; it holds the address to ask'
        )
    written = environ[name] if name else variant.base_url
    # The SDKs would read it too; a reply from there must not pass for one from elsewhere.
    written = written or environ.get(_USUAL.get(variant.provider, ""))
    if not written:
        return None
    try:
        parts = urlsplit(written)
    except ValueError as error:
        raise Unavailable(f'variant "{variant.name}": no address: {error}') from error
    clean = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
    _check(variant, clean)
    return urlunsplit(clean)


def _check(variant: Variant, parts: SplitResult) -> None:
    if parts.scheme not in ("http", "https"):
        told = "the address does not begin with http:// or https://"
        raise Unavailable(f'variant "{variant.name}": {told}')
    if variant.provider == "anthropic" and parts.path.rstrip("/").endswith("/v1"):
        told = f"{urlunsplit(parts)}: the Messages API adds /v1 itself; remove it"
        raise Unavailable(f'variant "{variant.name}": {told}')


def check_batch(place: Place, merged: DeclaredVariant) -> None:
    """Note a batch whose calls would have to wait for each other's replies."""
    if merged.batch and merged.tools:
        key = "batch" if "batch" in place.own.model_fields_set else "tools"
        place.say(key, "a batch is sent once, so it has no turns for tools; remove batch or tools")


def in_batches(suite: Suite) -> Suite:
    """Return *suite* with every variant in batches that can be; the others stay as they are."""
    variants = {
        name: replace(one, batch=understands(one.provider, "batch") and not one.tools)
        for name, one in suite.variants.items()
    }
    return replace(suite, variants=variants)


_RETRIEVER = re.compile(r"[\w.]+:\w+")


def retrieve_of(
    place: Place,
    declared: DeclaredVariant,
    templates: Iterable[str | None],
    cases: tuple[Case, ...],
) -> Retrieve | None:
    """Return how a variant finds passages, or None; what is wrong is noted.

    Args:
        place: of the variant.
        declared: what it declares, inherited keys included.
        templates: of its messages, which may have a place for passages.
        cases: the suite's cases, whose files hold the answers.
    """
    wanted = declared.retrieve
    if wanted is None:
        if declared.provider not in UNASKED and any(_places(text, cases) for text in templates):
            told = f'a template names "{PASSAGES}", but nothing is retrieved'
            place.say("retrieve", f'{told}; add retrieve: {{from: "docs/*.md"}}')
        return None
    if isinstance(wanted, str):
        if not _RETRIEVER.fullmatch(wanted):
            told = f'retrieve: "{wanted}" is no module:function'
            place.say("retrieve", f'{told}; for files write retrieve: {{from: "{wanted}"}}')
        elif fault := reference_fault(wanted, place.source.path.parent):
            place.say("retrieve", f"retrieve: {fault}")
        return Retrieve(function=wanted)
    paths = tuple(_files(place, wanted, cases))
    return Retrieve(paths=paths, top=wanted.top, chunk=wanted.chunk)


def _places(template: str | None, cases: tuple[Case, ...]) -> bool:
    """Tell whether *template* has a place for passages; a case's own var is none of them."""
    try:
        named = PASSAGES in names(template or "")
    except TemplateError:  # said where the template stands
        return False
    return named and not any(PASSAGES in case.vars for case in cases)


def _files(place: Place, wanted: DeclaredRetrieve, cases: tuple[Case, ...]) -> Iterable[Path]:
    source, line = place.source, place.line("retrieve")
    patterns = [wanted.source] if isinstance(wanted.source, str) else wanted.source
    if not patterns:
        place.say("retrieve", "retrieve: from is an empty list; name a file or a glob")
    found = chain.from_iterable(source.files(one, line, "retrieve: from") for one in patterns)
    answers = {case.where.rpartition(":")[0] for case in cases}
    for path in dict.fromkeys(found):
        if source.name(path) in answers:
            place.say(
                "retrieve",
                f"retrieve: {source.name(path)} holds cases with their answers; leave it out",
            )
        # Read here for its faults alone: what it says is read when the plan is made.
        elif source.text(path, line, "retrieve") is not None:
            yield path


#: What a case expects where no tool is to be called.
NONE = "none"
#: Names as APIs take them.
_TOOL = re.compile(r"[^\W\d][\w.]*:[A-Za-z_][A-Za-z0-9_]{0,63}")


def check_tools(place: Place, merged: DeclaredVariant) -> None:
    """Note what is wrong with the tools of one variant."""
    own = place.own.model_fields_set
    if "tools" in own:
        for message in _faults(merged.tools, place.source.path.parent):
            place.say("tools", message)
    if "max_turns" in own and not merged.tools:
        place.say("max_turns", "max_turns without tools: a model is asked once; remove it")


def _faults(tools: tuple[str, ...], folder: Path) -> Iterator[str]:
    for written in tools:
        fault = reference_fault(written, folder)
        if fault:
            yield f"tools: {fault}"
        elif not _TOOL.fullmatch(written):
            yield f'tools: "{written}" is no name that APIs take: letters, digits, _, at most 64'
    names = Counter(written.partition(":")[2] for written in tools)
    if NONE in names:
        yield f"tools: a tool cannot be called {NONE}, which cases expect where none is called"
    for name, count in names.items():
        if name and count > 1:
            yield f"tools: {count} are called {name}, so a model cannot tell them apart; rename one"


def check_expected(source: Source, cases: Iterable[Case], variants: Mapping[str, Variant]) -> None:
    """Note each case that expects a tool that no variant has; it would be wrong for ever."""
    written = {tool for one in variants.values() for tool in one.tools}
    known = {tool.partition(":")[2] for tool in written}
    # A reference that is none has been said, and cases may well mean it.
    for case in cases if known and all(map(_TOOL.fullmatch, written)) else ():
        for name in _expected(case):
            if name not in (NONE, *known):
                near = did_you_mean(name, known) or f"; tools: {', '.join(sorted(known))}"
                path, _, line = case.where.rpartition(":")
                told = f'expected "{name}" is a tool of no variant{near}'
                source.faults.append(Fault(path, int(line), told))


def check_called(
    source: Source, document: Document, rules: Iterable[Rule], variants: Mapping[str, Variant]
) -> None:
    """Note each tool that the format of every reply calls for, and that no variant has."""
    known = {tool.partition(":")[2] for one in variants.values() for tool in one.tools}
    for rule in rules:
        if rule.kind == "tool_call" and rule.value["name"] not in known:
            name = rule.value["name"]
            near = did_you_mean(name, known) or "; give it to one under tools"
            line = document.line(("reply", "format"))
            source.say(line, f'tool_call: "{name}" is a tool of no variant{near}')


def _expected(case: Case) -> Iterator[str]:
    called = any(rule.kind == "tool_call" for rule in case.score.parts)
    if called and case.expected is not None:
        answers = case.expected if isinstance(case.expected, list) else [case.expected]
        yield from (one["name"] if isinstance(one, Mapping) else str(one) for one in answers)


_SAMPLING = ("temperature", "top_p", "seed", "stop", "effort", "thinking")
#: How a GGUF file begins.
_GGUF = b"GGUF"
_RUNTIME = ("slots", "threads", "context")
#: Keys that a variant keeps as they were written.
_PLAIN = (
    *("gated", "base_url", "base_url_env", "api_key_env", "api_version", "served_model", "scale"),
    *("base", "max_tokens", "function", "options", "tools", "batch"),
)


def resolve_variants(
    source: SuiteSource,
    document: Document,
    declared: DeclaredSuite,
    cases: tuple[Case, ...],
    reply: ReplyRules,
    others: Collection[str] | None = (),
) -> dict[str, Variant]:
    """Return the suite's variants in the order of the file; what is wrong goes to *source*.

    Args:
        source: the suite file.
        document: its content, with lines.
        declared: its content, validated.
        cases: its cases.
        reply: its rules for replies.
        others: the names of providers that do not come with the package, or None where they
            cannot be known.
    """
    resolved: dict[str, Variant] = {}
    for name, own in declared.variants.items():
        place = Place(source, document, name, own)
        variant = _Resolving(place, declared, cases, reply, others).variant()
        if variant:
            resolved[name] = variant
    return resolved


def resolve_one(
    place: Place,
    declared: DeclaredSuite,
    cases: tuple[Case, ...],
    reply: ReplyRules,
    others: Collection[str] | None = (),
) -> Variant | None:
    """Return who is asked at *place*, which is none of the suite's variants."""
    alone = declared.model_copy(update={"variants": {place.name: place.own}, "prompt": None})
    return _Resolving(place, alone, cases, reply, others).variant()


class _Resolving:
    """One variant on its way; holds what every step of it needs to place a fault."""

    def __init__(
        self,
        place: Place,
        declared: DeclaredSuite,
        cases: tuple[Case, ...],
        reply: ReplyRules,
        others: Collection[str] | None,
    ) -> None:
        self.place, self.declared, self.others = place, declared, others
        self.cases, self.reply = cases, reply
        self.name, self.own, self.say = place.name, place.own, place.say

    def variant(self) -> Variant | None:
        merged = self.merged()
        if merged is None:
            return None
        prompt = merged.prompt or (
            self.declared.prompt if "prompt" not in merged.model_fields_set else None
        )
        path = self.prompt_path(prompt)
        system = self.template(path)
        if not self.usable(merged):
            return None
        if self.own.user is not None:
            what = f"{self.place.who}: user"
            line = self.place.line("user")
            check_user(self.place.source, line, what, self.own.user, self.cases)
        return self.made(merged, system, path)

    def made(self, merged: DeclaredVariant, system: str | None, path: Path | None) -> Variant:
        user, examples, place = merged.user or self.declared.user, merged.examples, self.place
        shots = shots_of(place, examples, user, self.cases, self.reply) if examples else []
        similar = examples.shots if examples and examples.choose == "similar" else 0
        return Variant(
            name=self.name,
            line=place.line(),
            provider=merged.provider or "",
            model=merged.model or "",
            system=system,
            user=user,
            shots=() if similar else tuple(turn for shot in shots for turn in shot.turns),
            pool=tuple(shots) if similar else (),
            similar=similar,
            **self.constraint(merged),
            retrieve=retrieve_of(place, merged, (system, user), self.cases),
            adapter=self.adapter(merged),
            training_data=self.training(merged),
            sampling=_picked(merged, _SAMPLING),
            replies=place.file(merged.replies, "replies"),
            base_replies=place.file(merged.base_replies, "base_replies"),
            runtime=_picked(merged, _RUNTIME),
            max_turns=merged.max_turns or 8,
            tariff=tariff_of(place, merged),
            rung=merged.rung or "",
            prompt_path=path,
            **{key: getattr(merged, key) for key in _PLAIN},
        )

    def training(self, merged: DeclaredVariant) -> Path | None:
        path = self.place.file(merged.training_data, "training_data")
        if path:
            training_rows(self.place.source, path)
        return path

    def merged(self) -> DeclaredVariant | None:
        """Lay the variant's own keys over those of the variants that it is like."""
        chain = self.chain()
        if chain is None:
            return None
        keys: dict[str, Any] = {}
        for link in reversed(chain):
            own = self.declared.variants[link].model_dump(by_alias=True, exclude_unset=True)
            keys = inherited(keys, own)
            # Whether it is gated is a fact of the variant itself, not of how it answers.
            keys.update(
                own if link == self.name else {k: v for k, v in own.items() if k != "gated"}
            )
        keys = self.understood(keys)
        try:
            return DeclaredVariant.model_validate(keys)
        except ValidationError:  # pragma: no cover - each link was valid by itself
            return None

    def chain(self) -> list[str] | None:
        """Return the variant and those that it is like, the nearest first."""
        chain: list[str] = []
        name: str | None = self.name
        while name is not None:
            if name in chain:
                self.say("like", f"like: {' -> '.join([*chain, name])} is a circle")
                return None
            if name not in self.declared.variants:
                near = did_you_mean(name, self.declared.variants)
                self.say("like", f'like: there is no variant "{name}"{near}')
                return None
            chain.append(name)
            name = self.declared.variants[name].like
        return chain

    def understood(self, keys: dict[str, Any]) -> dict[str, Any]:
        """Return *keys* less the inherited ones that only another provider understands."""
        own, provider = self.own.model_fields_set, keys.get("provider")
        return {k: value for k, value in keys.items() if k in own or understands(provider, k)}

    def usable(self, merged: DeclaredVariant) -> bool:
        provider = merged.provider
        known = (*PROVIDERS, *(self.others or ()))
        if provider is None:
            self.place.absent("provider", f"provider is missing; one of {', '.join(known)}")
            return False
        if provider not in known:
            near = did_you_mean(provider, known) or f"; known: {', '.join(known)}{self.outside()}"
            self.say("provider", f'unknown provider "{provider}"{near}')
            return False
        absent = [key for key in PROVIDERS.get(provider, ()) if not getattr(merged, key)]
        for key in absent:
            self.place.absent(key, f"provider {provider} needs {key}")
        self.check_function(provider)
        for key, message in misplaced(merged, self.own.model_fields_set):
            self.say(key, message)
        self.check_tuned(merged)
        check_tools(self.place, merged)
        check_batch(self.place, merged)
        return not absent

    def check_function(self, provider: str) -> None:
        if provider == "python" and self.own.function:
            fault = reference_fault(self.own.function, self.place.source.path.parent)
            if fault:
                self.say("function", f"function: {fault}")

    def outside(self) -> str:
        """Say where providers from elsewhere are known, where this is not the place."""
        told = "; only pytest knows those of its plugins: use pytest --ftgate --ftgate-plan"
        return told if self.others is None else ""

    def check_tuned(self, merged: DeclaredVariant) -> None:
        if "scale" in self.own.model_fields_set and merged.adapter is None:
            self.say("scale", "scale without an adapter: what is scaled?")
        tuned = merged.adapter or merged.base or merged.base_replies
        learned = tuned or merged.rung == "fine-tuned" or merged.provider == "classical"
        if merged.training_data and not learned:
            self.say("training_data", "training_data without an adapter or a base: what was tuned?")
        if merged.base is None:
            return
        if merged.base == merged.model and merged.adapter is None:
            self.say("base", f'base "{merged.base}" is the model itself; name the tuned model')
        if merged.adapter is not None and merged.base != merged.model:
            self.say("base", "base: with an adapter the base is the model without it; remove base")
        if merged.provider in UNASKED:
            told = f"provider {merged.provider} has no model that could be asked instead"
            self.say("base", f"base: {told}; write base_replies: and a file of its replies")

    def prompt_path(self, written: str | None) -> Path | None:
        if written is None:
            return None
        return self.place.source.find(written, self.prompt_line(), "prompt")

    def prompt_line(self) -> int:
        own = self.own.prompt is not None
        return self.place.line("prompt") if own else self.place.document.line(("prompt",))

    def template(self, path: Path | None) -> str | None:
        text = self.place.source.text(path, self.prompt_line(), "prompt") if path else None
        if text is None or path is None:
            return None
        self.check_template(text, path)
        return text.removesuffix("\n")

    def check_template(self, text: str, path: Path) -> None:
        say = self.place.source.say
        try:
            wanted = names(text)
        except TemplateError as error:
            say(getattr(error, "lineno", 0) or 0, f"not a template: {error}", path)
            return
        offered = {"input", "id", "tags", *(key for case in self.cases for key in case.vars)}
        for name in sorted(wanted - offered - {PASSAGES}) if self.cases else ():
            number = next((i for i, t in enumerate(text.split("\n"), 1) if name in t), 0)
            near = did_you_mean(name, offered) or f"; cases have {', '.join(sorted(offered))}"
            say(number, f'no case has "{name}"{near}', path)

    def adapter(self, merged: DeclaredVariant) -> Path | None:
        path = self.place.file(merged.adapter, "adapter", anywhere=True)
        if path is not None and not _begins(path, _GGUF):
            told = "is no GGUF file; convert_lora_to_gguf.py of llama.cpp makes one of it"
            self.say("adapter", f"adapter: {merged.adapter} {told}")
        return path

    def constraint(self, merged: DeclaredVariant) -> dict[str, Any]:
        """Return what the provider is asked to hold replies to: the suite's format, or a file."""
        wanted = merged.response_schema
        if isinstance(wanted, str):
            return {"schema": self.place.schema(wanted, "response_schema")}
        kinds = [rule.kind for rule in self.reply.format]
        # Of the APIs none takes a choice; llama.cpp does, and a provider from elsewhere may.
        known = ("json_schema",) if merged.provider in HOSTED else ("choice", "json_schema")
        if wanted and not set(known) & set(kinds):
            needed = f"response_schema needs a reply.format of {' or '.join(known)}"
            self.say("response_schema", f"{needed} with provider {merged.provider}")
        return {"constrained": bool(wanted)}


def _begins(path: Path, how: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(how)) == how


def _picked(merged: DeclaredVariant, keys: tuple[str, ...]) -> dict[str, Any]:
    chosen = {key: getattr(merged, key) for key in keys if key in merged.model_fields_set}
    return {key: value for key, value in chosen.items() if value not in (None, ())}
