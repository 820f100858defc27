"""A configuration of promptfoo, read as a suite."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.assertions import CarriedRules, assertion_of_cell, carry_assertions
from pytest_ftgate.readers.imported_files import (
    filled,
    parse_document,
    read_records,
    read_text_below,
)
from pytest_ftgate.readers.imported_suite import (
    ImportedModel,
    ImportedPrompt,
    ImportedSuite,
    input_keys,
    slug,
    unique,
)
from pytest_ftgate.readers.text import as_mapping, text_of

_FILE = "file://"
_DOCUMENTS = (".json", ".yaml", ".yml")
_TABLES = (".csv", ".jsonl", *_DOCUMENTS)
#: Files that promptfoo runs.
_PROGRAMS = (".py", ".js", ".cjs", ".mjs", ".ts", ".cts", ".mts", ".rb", ".sh", ".exe")
#: A test with lists as variables is one case for each combination, up to so many.
_MOST_COMBINATIONS = 1_000
#: What differs for every reply.
_SPACE = "outer white space of a reply does not count; an empty one, or its input again, is wrong"
#: Keys of a configuration that say nothing about what is tested.
_SILENT = ("description", "outputPath", "sharing", "tags", "metadata", "assertionTemplates")
_READ = ("prompts", "providers", "targets", "tests", "defaultTest", "scenarios", "$schema")


@dataclass(slots=True)
class _Reader:
    """Reads one configuration into *suite*; *folder* is where its files are looked for."""

    suite: ImportedSuite
    folder: Path
    templates: Mapping[str, Any]

    def read(self, written: str) -> str:
        """Return the text of a file, whatever it is called."""
        return read_text_below(self.folder, written.removeprefix(_FILE))

    def add_function(self, name: str, source: str) -> str:
        """Return the reference of a function of the suite, written as *source*."""
        return self.suite.add_function(name, source)

    def paths(self, written: str) -> list[str]:
        """Return the files that *written* names: several for a glob, itself for any other."""
        name = written.removeprefix(_FILE)
        if not re.search(r"[*?\[]", name) or Path(name).is_absolute():
            return [name]
        found = sorted(path for path in self.folder.glob(name) if path.is_file())
        return [path.relative_to(self.folder).as_posix() for path in found]

    def resolve(self, value: Any) -> Any:
        """Return *value*, or the document in the file that it names; None if there is none."""
        if not isinstance(value, str) or not value.startswith(_FILE):
            return value
        if not value.endswith(_DOCUMENTS):
            self.suite.note(value)
            return None
        try:
            return parse_document(self.read(value), value, core=True)
        except ConfigurationError as error:
            self.suite.note(str(error))
            return None

    # Prompts

    def prompts(self, written: Any) -> Iterator[ImportedPrompt]:
        listed = written if isinstance(written, list) else [written]
        if isinstance(written, Mapping):
            listed = [{"id": path, "label": label} for path, label in written.items()]
        for number, prompt in enumerate(listed, 1):
            keys = prompt if isinstance(prompt, Mapping) else {"raw": prompt}
            text = text_of(keys.get("raw") or keys.get("content") or keys.get("id")) or ""
            label = text_of(keys.get("label")) or f"prompt-{number}"
            if isinstance(keys.get("config"), Mapping):
                self.suite.note(f"config of the prompt {label}")
            is_glob = re.fullmatch(r"(?:file://)?[\w./*?\[\]-]*[*?\[][\w./*?\[\]-]*", text)
            for one in self.paths(text) if is_glob else [text]:
                file = f"{_FILE}{one}" if is_glob else one
                yield from self.prompt(file, label, is_labelled="label" in keys)

    def prompt(self, text: str, label: str, *, is_labelled: bool) -> Iterator[ImportedPrompt]:
        path = text.removeprefix(_FILE)
        is_file = text.startswith(_FILE) or re.fullmatch(
            r"[\w./-]+\.(txt|md|j2|csv|json|ya?ml|[cm]?[jt]s|py)(:\w+)?", text
        )
        if is_file and re.sub(r":\w+$", "", path).endswith((*_PROGRAMS, ".csv")):
            yield ImportedPrompt(label, "", unread=f"{text}, a function")
            return
        if is_file:
            try:
                text = self.read(path)
            except ConfigurationError as error:
                yield ImportedPrompt(label, "", unread=f"{text}: {error}")
                return
            label = label if is_labelled else Path(path).stem
        parts = re.split(r"^---\s*$", text, flags=re.MULTILINE) if path.endswith(".txt") else [text]
        for part in filter(str.strip, parts):
            yield from self.one_prompt(part.strip("\n"), label, path)

    def one_prompt(self, text: str, label: str, path: str) -> Iterator[ImportedPrompt]:
        messages = _chat(text, path)
        if messages is None and re.match(r"\s*\[.*\"role\"", text, re.DOTALL):
            yield ImportedPrompt(label, "", unread=f"{label}, whose turns a template makes")
            return
        if messages is None:
            yield ImportedPrompt(label, _jinja(text))
            return
        roles = [str(message.get("role")) for message in messages]
        texts = [_jinja(text_of(message) or "") for message in messages]
        if roles not in (["user"], ["system", "user"], ["developer", "user"], ["system"]):
            yield ImportedPrompt(label, "", unread=f"{label} of the turns {', '.join(roles)}")
            return
        by_role = dict(zip(roles, texts, strict=True))
        system = by_role.get("system") or by_role.get("developer") or ""
        yield ImportedPrompt(label, by_role.get("user", "{{ input }}"), system)

    # Models

    def models(self, written: Any) -> Iterator[ImportedModel]:
        for provider in written if isinstance(written, list) else [written]:
            if isinstance(provider, str) and provider.startswith(_FILE) and provider.endswith("ml"):
                yield from self.models(self.resolve(provider))
            elif isinstance(provider, str):
                yield self.model(provider, {})
            elif isinstance(provider, Mapping):
                named = {str(provider["id"]): provider} if "id" in provider else provider
                yield from (self.model(str(name), as_mapping(named[name])) for name in named)

    def model(self, name: str, keys: Mapping[str, Any]) -> ImportedModel:
        # An address may hold a password, or a key behind its question mark.
        name = re.sub(r"^(https?://)(?:[^/?#]*@)?([^?#]*).*", r"\1\2", name, flags=re.DOTALL)
        for key in ("prompts", "transform", "delay"):
            if keys.get(key):
                self.suite.note(f"{key} of the provider {name}")
        label = text_of(keys.get("label")) or name
        return ImportedModel(label, name, as_mapping(keys.get("config")))

    # Tests

    def tests(self, written: Any) -> Iterator[Mapping[str, Any]]:
        if isinstance(written, Mapping):
            self.suite.note(f"tests made by {written.get('path', 'a generator')}")
            return
        for test in written if isinstance(written, list) else [written]:
            if isinstance(test, str):
                yield from self.test_file(test.removeprefix(_FILE))
            elif isinstance(test, Mapping):
                yield test

    def test_file(self, written: str) -> Iterator[Mapping[str, Any]]:
        if Path(written).is_absolute():
            self.suite.note(f"tests of {written}: copy the file beside this one, and name it there")
            return
        for path in (self.folder / one for one in self.paths(written)):
            if path.suffix not in _TABLES or "://" in written:
                self.suite.note(f"tests of {written}: not a file of cases")
                continue
            try:
                text = read_text_below(self.folder, str(path.relative_to(self.folder)))
                if path.suffix in _DOCUMENTS:
                    found = parse_document(text, path.name, core=True)
                else:
                    found = read_records(path)
            except ConfigurationError as error:
                self.suite.note(f"tests of {written}: {error}")
                continue
            read = _csv_test if path.suffix == ".csv" else _plain_test
            rows = found if isinstance(found, list) else [found]
            yield from (read(row) for row in rows if isinstance(row, Mapping))

    def scenarios(self, written: Any) -> Iterator[Mapping[str, Any]]:
        for scenario in written if isinstance(written, list) else ():
            keys = as_mapping(self.resolve(scenario))
            for config in self.tests(keys.get("config")):
                yield from (_merge(config, test) for test in self.tests(keys.get("tests")) or [{}])

    def cases(self, test: Mapping[str, Any], rubrics: list[str]) -> Iterator[dict[str, Any]]:
        for key in ("provider", "providers", "prompts", "assertScoringFunction"):
            if test.get(key):
                self.suite.note(f"{key} of a test")
        for key in as_mapping(test.get("options")):
            if key not in ("provider", "_conversation", "transform", "postprocess"):
                self.suite.note(f"options.{key} of a test")
        for values in self.combinations(as_mapping(self.resolve(test.get("vars")))):
            yield self.case(test, values, rubrics)

    def combinations(self, variables: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the variables of each case of a test, without those of files that are not read."""
        lists = [value if isinstance(value, list) else [value] for value in variables.values()]
        lists = [[one for item in listed for one in self.files(item)] for listed in lists]
        # A list of mappings, such as a conversation, is one value.
        lists = [[v] if any(isinstance(i, Mapping | list) for i in v) else v for v in lists]
        products = itertools.product(*lists)
        for combination in itertools.islice(products, _MOST_COMBINATIONS):
            values = dict(zip(map(str, variables), combination, strict=True))
            try:
                read = {name: self.variable(value) for name, value in values.items()}
                yield {name: filled(value, read) for name, value in read.items()}
            except ConfigurationError as error:
                self.suite.note(f"a test whose variable cannot be read: {error}")

    def files(self, value: Any) -> list[Any]:
        """Return *value*, or the files of the glob that it is: one case for each."""
        is_file = isinstance(value, str) and value.startswith(_FILE)
        return [f"{_FILE}{path}" for path in self.paths(value)] if is_file else [value]

    def variable(self, value: Any) -> Any:
        if not isinstance(value, str) or not value.startswith(_FILE):
            return value
        if value.endswith(_PROGRAMS):
            raise ConfigurationError(f"{value} is a program, which is not run")
        text = self.read(value)
        if "\0" in text:
            raise ConfigurationError(f"{value} is not text")
        return text

    def case(
        self, test: Mapping[str, Any], variables: Mapping[str, Any], rubrics: list[str]
    ) -> dict[str, Any]:
        rules = self.rules(test, variables)
        keys = rules.keys()
        if (rules.dropped or rules.limits) and not keys and not rules.rubrics:
            self.suite.note("a test without an assertion that could be carried over: not scored")
        description = text_of(test.get("description")) or ""
        rubrics.append("\n".join(rules.rubrics))
        given = input_keys(variables) if variables else {"input": description or "(no variables)"}
        values = as_mapping(test.get("metadata")).values()
        tags = [slug(value) for value in values if isinstance(value, str) and slug(value)]
        return {"id": description, **given, **keys, "tags": tags}

    def rules(self, test: Mapping[str, Any], variables: Mapping[str, Any]) -> CarriedRules:
        """Return what the assertions of *test* become; what they lose goes to the suite."""
        assertions = [self.assertion(one) for one in _listed(test.get("assert"))]
        options = as_mapping(test.get("options"))
        transform = options.get("transform") or options.get("postprocess")
        rules = carry_assertions(
            assertions, variables, self, threshold=test.get("threshold"), transform=transform
        )
        for text in (*rules.notes, *rules.dropped):
            self.suite.note(text)
        self.suite.counts.update({**rules.counts, "dropped": len(rules.dropped)})
        for kind, limit in rules.limits.items():
            self.limit(kind, limit)
        return rules

    def assertion(self, written: Any) -> Any:
        reference = as_mapping(written).get("$ref")
        if not isinstance(reference, str):
            return written
        return self.templates.get(reference.rpartition("/")[2], {"type": reference})

    def limit(self, kind: str, limit: float) -> None:
        """Keep the smallest limit: promptfoo has one for each test, a suite one for all."""
        key = {"latency": "max_p95_ms", "cost": "max_usd_per_1k"}[kind]
        value = limit * 1_000 if kind == "cost" else limit
        keys = self.suite.limits.setdefault(kind, {key: value})
        keys[key] = min(keys[key], value)


def read_promptfoo_config(path: Path, document: Mapping[str, Any]) -> ImportedSuite | None:
    """Return the suite that a configuration of promptfoo declares; None for another file."""
    if not {"prompts", "providers", "targets", "tests", "scenarios"} & document.keys():
        return None
    # Its parser reads YAML 1.2, in which `yes` is a text.
    document = parse_document(read_text_below(path.parent, path.name), path.name, core=True)
    suite = ImportedSuite("promptfoo")
    reader = _Reader(suite, path.parent, as_mapping(document.get("assertionTemplates")))
    for key in document:
        if key not in (*_READ, *_SILENT):
            suite.note(f"the key {key}")
    for prompt in reader.prompts(document.get("prompts") or "{{ input }}"):
        name = unique(slug(prompt.name) or "prompt", [one.name for one in suite.prompts])
        suite.prompts.append(replace(prompt, name=name))
    suite.models += reader.models(document.get("providers") or document.get("targets") or [])
    _read_tests(reader, document, as_mapping(reader.resolve(document.get("defaultTest"))))
    return suite


def _listed(written: Any) -> list[Any]:
    """Return the assertions of a test; one that is no list is a list of one."""
    return written if isinstance(written, list) else [] if written is None else [written]


def _read_tests(reader: _Reader, document: Mapping[str, Any], default: Mapping[str, Any]) -> None:
    suite = reader.suite
    tests = [*reader.tests(document.get("tests")), *reader.scenarios(document.get("scenarios"))]
    rubrics: list[str] = []
    merged = [_merge(default, test) for test in tests or ([default] if default else [])]
    cases = [case for test in merged for case in reader.cases(test, rubrics)]
    judged = [rubric for rubric in rubrics if rubric]
    shared = judged[0] if len({*judged}) == 1 and "{" not in judged[0] else ""
    for case, rubric in zip(cases, rubrics, strict=True) if judged else ():
        if rubric and not shared:
            case["vars"] = {**case.get("vars", {}), "rubric": rubric}
        elif not rubric and "score" not in case:
            # Without an expected answer it is not scored, and not judged either.
            case["score"] = "exact"
    if judged:
        suite.rubric = shared or "{{ rubric }}"
        suite.judge = _judge(reader, [default, *tests])
    suite.note(_SPACE)
    suite.add_cases(cases)


def _judge(reader: _Reader, tests: Iterable[Mapping[str, Any]]) -> ImportedModel | None:
    """Return the first model that grades by a rubric, if the configuration names one."""
    for test in tests:
        owners = (test.get("options"), *_listed(test.get("assert")))
        for provider in filter(None, (as_mapping(owner).get("provider") for owner in owners)):
            return next(reader.models(as_mapping(provider).get("text", provider)), None)
    return None


def _merge(default: Mapping[str, Any], test: Mapping[str, Any]) -> dict[str, Any]:
    """Return *test* with what it takes over from the tests' default."""
    both = {**default, **test}
    for key in ("vars", "options", "metadata"):
        if isinstance(test.get(key), Mapping):
            both[key] = {**as_mapping(default.get(key)), **test[key]}
    # Options of a test may leave the assertions of the default out.
    is_free = as_mapping(test.get("options")).get("disableDefaultAsserts")
    lists = (None if is_free else default.get("assert"), test.get("assert"))
    both["assert"] = [one for written in lists for one in _listed(written)]
    return both


def _plain_test(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row of a file as a test: one already, or only its variables."""
    return row if {"vars", "assert", "description"} & row.keys() else {"vars": row}


def _csv_test(row: Mapping[str, Any]) -> dict[str, Any]:
    special = {name: value for name, value in row.items() if name.startswith("__")}
    variables = {name.strip(): v for name, v in row.items() if not name.startswith("__")}
    cells = [v for k, v in special.items() if re.fullmatch(r"__expected\d*", k) and v]
    return {
        "vars": variables,
        "assert": [assertion_of_cell(text_of(cell) or "") for cell in cells],
        "description": special.get("__description"),
        "threshold": special.get("__threshold"),
        "metadata": {k.partition(":")[2]: v for k, v in special.items() if "metadata:" in k},
    }


def _chat(text: str, path: str) -> list[Mapping[str, Any]] | None:
    """Return the messages of a prompt that is a conversation in JSON or YAML, or None."""
    is_yaml = path.endswith((".yaml", ".yml")) or text.lstrip().startswith("- role:")
    if not is_yaml and not text.lstrip().startswith(("[", "{")):
        return None
    try:
        value = parse_document(text, path, core=True) if is_yaml else json.loads(text)
    except (ConfigurationError, ValueError):
        return None
    messages = value.get("messages") if isinstance(value, Mapping) else value
    is_list = isinstance(messages, list) and all("role" in as_mapping(one) for one in messages)
    return messages if messages and is_list else None


def _jinja(text: str) -> str:
    """Return a template of Nunjucks as one of Jinja, where they differ."""
    return re.sub(r"\|\s*dump\b", "| tojson", text)
