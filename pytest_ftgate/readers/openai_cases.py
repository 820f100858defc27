"""Evals of a registry of OpenAI Evals, with their samples, examples and graders."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigurationError, did_you_mean
from pytest_ftgate.readers.imported_files import parse_document, read_records, read_text_below
from pytest_ftgate.readers.imported_suite import (
    ImportedPrompt,
    ImportedSuite,
    expected_of,
    input_keys,
)
from pytest_ftgate.readers.text import as_mapping, mappings_in, normalised_words, text_of
from pytest_ftgate.readers.yaml import read_yaml

_TOOL = "OpenAI Evals"
#: The score of each class that compares the reply with the ideal answer.
_SCORES: Mapping[str, str] = {
    **dict.fromkeys(("Match", "MatchWithSolvers", "Includes"), "regex"),
    "FuzzyMatch": "contains",
    "JsonMatch": "fields",
}
_GRADED = "ModelBasedClassify"
#: Arguments that a suite expresses, or that say nothing of replies.
_READ = (
    *("samples_jsonl", "few_shot_jsonl", "num_few_shot", "ignore_case", "task_description"),
    *("modelgraded_spec", "modelgraded_spec_args", "eval_type"),
)
#: The names of messages of the role "system" that are turns of an example.
_TURNS = {"example_user": "user", "example_assistant": "assistant"}
#: How far above an eval its registry may be: registry/evals/FOLDER/NAME.yaml.
_LEVELS = 3
#: How a grader is asked to answer, which a judge is asked in its own words.
_HOW_TO_ANSWER = re.compile(r"\s*First, write out in a step.by.step manner.*", re.DOTALL)
#: The scores of the choices of "fact", which states none: only D, a disagreement, is wrong.
_FACT = {"A": 1.0, "B": 1.0, "C": 1.0, "D": 0.0, "E": 1.0}
_JINJA = re.compile(r"\{[{%#]|[}%#]\}")


def evals_in(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the evals of a file of the registry by their names; none for another file."""
    specs = {str(key): spec for key, spec in document.items() if isinstance(spec, Mapping)}
    return {key: spec for key, spec in specs.items() if _class_of(spec)[0].startswith("evals.")}


def _class_of(spec: Mapping[str, Any]) -> tuple[str, str]:
    """Return the module and the name of the class of an eval."""
    module, _, name = str(spec.get("class", "")).rpartition(":")
    return module, name


def read_eval(path: Path, document: Mapping[str, Any], wanted: str = "") -> ImportedSuite:
    """Return the eval *wanted* of a file of the registry, by default its first.

    Raises:
        ConfigurationError: it has another name, is code of its own, or files of it are missing.
    """
    evals = evals_in(document)
    alias = document.get(wanted)
    wanted = str(alias.get("id", wanted)) if isinstance(alias, Mapping) else wanted
    name = wanted or next(iter(evals))
    if name not in evals:
        hint = did_you_mean(name, evals) or f"; it has {', '.join([*evals][:8])}"
        raise ConfigurationError(f'{path}: there is no eval "{name}"{hint}')
    suite = _Eval(path, name, evals[name]).suite()
    others = [one for one in evals if one != name]
    if others and not wanted:
        what = f"the further eval {others[0]}" if len(others) == 1 else f"{len(others)} more evals"
        suite.note(f"{what} of the file: pytest-ftgate import {path}::{others[0]}")
    return suite


def read_samples(rows: Iterable[Mapping[str, Any]]) -> ImportedSuite:
    """Return the cases of a file of samples, whose eval, and so its class, is not known."""
    suite = ImportedSuite(_TOOL, score="contains")
    suite.note("samples without their eval: a reply has to contain the ideal answer")
    suite.add_cases(
        {
            "id": r.get("id"),
            **input_keys(_with_turns(r.get("input"))),
            "expected": expected_of(r.get("ideal")),
        }
        for r in rows
    )
    return suite


class _Eval:
    """One eval of a file of the registry."""

    def __init__(self, path: Path, name: str, spec: Mapping[str, Any]) -> None:
        self.path, self.name = path, name
        module, self.kind = _class_of(spec)
        self.code = f"{module.replace('.', '/')}.py"
        self.arguments = as_mapping(spec.get("args"))
        self.variables: frozenset[str] = frozenset()

    def error(self, problem: str, key: str = "") -> ConfigurationError:
        """Return *problem* as an error at the eval, or at an argument of it."""
        document = read_yaml(read_text_below(self.path.parent, self.path.name), "")
        line = document.line((self.name, "args", key) if key else (self.name, "class"))
        return ConfigurationError(f"{self.path}:{line}: {problem}")

    def suite(self) -> ImportedSuite:
        if self.arguments.get("dataset"):
            raise self.error(_on_the_hub(str(self.arguments["dataset"])), "dataset")
        if self.kind not in (*_SCORES, _GRADED):
            remedy = "let oaieval run it, and compare two of its logs: pytest-ftgate compare A B"
            raise self.error(
                f"class {self.kind} is code ({self.code}), which no suite has; {remedy}"
            )
        rows = self.records("samples_jsonl")
        suite = ImportedSuite(_TOOL)
        if self.kind == _GRADED:
            self.set_judge(suite, rows)
        suite.add_cases(self.case(row) for row in rows)
        suite.score = _SCORES.get(self.kind)
        if self.kind == "FuzzyMatch":
            suite.note(
                "FuzzyMatch also takes a reply that is a part of the answer, or has it in a word"
            )
        elif self.kind == "JsonMatch":
            suite.note(
                "JsonMatch is right or wrong as a whole: fields is the share of right fields"
            )
        for key in self.arguments.keys() - _READ:
            suite.note(f"the argument {key} of the eval")
        shots = self.arguments.get("num_few_shot")
        if self.arguments.get("few_shot_jsonl") and isinstance(shots, int) and shots > 0:
            _add_examples(suite, self.records("few_shot_jsonl")[:shots])
        return suite

    # Files ---------------------------------------------------------------------------------------

    def records(self, key: str) -> list[dict[str, Any]]:
        """Return the rows of the file that an argument names, which lies in the registry's data."""
        written = str(self.arguments.get(key) or "")
        # The samples lie beside the file, or in the registry's folder of data.
        places = [self.path.parent / written, *(top / "data" / written for top in self.above())]
        found = next((one for one in places if written and one.is_file()), None)
        if not written:
            raise self.error(f"{key} is missing: it names a file below registry/data")
        if found is None:
            tried = ", ".join(str(_shown(place)) for place in places)
            raise self.error(f'{key} "{written}" is none of {tried}; put it there', key)
        return read_records(found)

    def above(self) -> list[Path]:
        """Return the folders that the registry may be, the nearest first."""
        folder = self.path.resolve().parent
        return [folder, *folder.parents][:_LEVELS]

    # Cases ---------------------------------------------------------------------------------------

    def case(self, row: Mapping[str, Any]) -> dict[str, Any]:
        task = str(self.arguments.get("task_description") or "")
        given = input_keys(_with_turns(row.get("input")))
        if task and "messages" in given:
            given["messages"] = [{"role": "system", "content": task}, *given["messages"]]
        named = {key: value for key, value in row.items() if key in self.variables}
        given |= {"vars": {**given.get("vars", {}), **named}} if named else {}
        return {"id": row.get("id"), **given, "expected": self.expected(row.get("ideal"))}

    def expected(self, ideal: Any) -> Any:
        """Return the expected answer as the score of the eval's class reads it."""
        expected = expected_of(ideal)
        texts = expected if isinstance(expected, list) else [expected]
        if expected is None:
            return None
        if self.kind == "MatchWithSolvers":
            texts = [*dict.fromkeys((texts[0], str(texts[0]).capitalize()))]
        if _SCORES.get(self.kind) == "regex":
            before = "^" if self.kind != "Includes" else ""
            before = "(?i)" if self.arguments.get("ignore_case") else before
            # A reply is scored without the space around it.
            whole = filter(None, (str(text).strip() for text in texts))
            return [before + re.escape(text).replace("\\ ", " ") for text in whole] or None
        if self.kind == "JsonMatch":
            parsed = [one for text in texts if isinstance(one := _json(text), Mapping)]
            return parsed[0] if len(parsed) == 1 else parsed or None
        return expected

    # Graders -------------------------------------------------------------------------------------

    def set_judge(self, suite: ImportedSuite, rows: Sequence[Mapping[str, Any]]) -> None:
        """Set the judge of *suite* by the specification that the eval names."""
        name = str(self.arguments.get("modelgraded_spec") or "")
        file, spec = self.specification(name)
        if [*(spec.get("input_outputs") or {})] != ["input"] or self.arguments.get("multicomp_n"):
            remedy = "write a judge with compare: baseline, which sees the replies of two variants"
            raise self.error(f"{name} grades several replies at once; {remedy}", "modelgraded_spec")
        if any("completion" in row for row in rows):
            remedy = "write them as labels of a judge, {case, reply, grade}, and name them in human"
            raise self.error(
                f"its samples are replies with a grade, no cases; {remedy}", "metaeval"
            )
        suite.grades = self.grades(suite, file, name, spec)
        arguments = as_mapping(self.arguments.get("modelgraded_spec_args"))
        self.variables = frozenset(key for row in rows for key in row).difference(
            ("id", "input", "ideal", *arguments)
        )
        prompt = spec.get("prompt")
        turns = prompt if isinstance(prompt, list) else [prompt]
        texts = [text for text in map(text_of, turns) if text]
        try:
            suite.rubric = _rubric("\n\n".join(texts), arguments, self.variables)
        except ValueError as error:
            raise ConfigurationError(f"{_shown(file)}: {name}: prompt: {error}") from error

    def specification(self, name: str) -> tuple[Path, Mapping[str, Any]]:
        """Return the specification of a grader, and its file: registry/modelgraded/*.yaml."""
        folders = [top / "modelgraded" for top in self.above()]
        for file in (file for folder in folders for file in sorted(folder.glob("*.y*ml"))):
            document = parse_document(read_text_below(file.parent, file.name), str(file))
            spec = document.get(name) if isinstance(document, Mapping) else None
            if isinstance(spec, Mapping):
                return file, spec
        tried = ", ".join(str(_shown(folder)) for folder in folders)
        problem = f'modelgraded_spec "{name}" is in no file of {tried}; put it there'
        raise self.error(problem, "modelgraded_spec")

    def grades(
        self, suite: ImportedSuite, file: Path, name: str, spec: Mapping[str, Any]
    ) -> dict[str, float]:
        """Return the score of each choice of a grader."""
        written = spec.get("choice_strings")
        choices = [str(choice) for choice in written] if isinstance(written, str | list) else []
        scores = spec.get("choice_scores")
        if scores is None and name == "fact" and choices == [*_FACT]:
            suite.note("fact has no scores: all choices but D count as right; or change grades")
            return {**_FACT}
        if scores == "from_strings":
            scores = {choice: choice for choice in choices}
        try:
            values = {str(key): float(value) for key, value in (scores or {}).items()}
        except (AttributeError, TypeError, ValueError):
            values = {}
        if len(values) < 2:  # noqa: PLR2004 - a grader has two choices
            example = ", ".join(f'"{c}": {int(not n)}' for n, c in enumerate(choices))
            remedy = f"write choice_scores: {{{example}}} into {_shown(file)}"
            problem = f"{name} does not say which of its choices are right; {remedy}"
            raise self.error(problem, "modelgraded_spec")
        low, high = min(values.values()), max(values.values())
        if low >= 0 and high <= 1:
            return values
        suite.note(f"the scores {low:g} to {high:g} of {name} are 0 to 1 here")
        return {key: round((value - low) / (high - low), 4) for key, value in values.items()}


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _on_the_hub(dataset: str) -> str:
    """Return what to do for an eval whose questions are a data set of the Hugging Face Hub."""
    name, _, query = dataset.removeprefix("hf://").partition("?")
    part = dict(re.findall(r"(\w+)=([^&]+)", query)).get("name", "")
    folder = name.rpartition("/")[2]
    steps = f"hf download {name} --repo-type dataset --local-dir {folder}"
    inside = f"{folder}/{part}" if part else folder
    return (
        f"its questions are a data set of the Hugging Face Hub, {dataset}, which is not read from "
        f"there; type: {steps} && pytest-ftgate import {inside}"
    )


def _json(text: Any) -> Any:
    try:
        return parse_document(str(text), "ideal.json")
    except ConfigurationError:
        return None


def _with_turns(messages: Any) -> Any:
    """Return *messages* with the roles that examples in system messages stand for."""
    if not isinstance(messages, list):
        return messages
    named = mappings_in(messages)
    return [{**m, "role": _TURNS.get(str(m.get("name")), m.get("role"))} for m in named]


def _add_examples(suite: ImportedSuite, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add few-shot examples; they stand before the last message of each case.

    Where all cases begin with one system message, it becomes the prompt, since examples follow it.
    """
    talks = [input_keys(_with_turns(row.get("sample"))).get("messages") or [] for row in rows]
    suite.examples = [{"messages": talk} for talk in talks if talk]
    shown = {normalised_words(turn["content"]) for talk in talks for turn in talk[-2:-1]}
    asked = [case for case in suite.cases if normalised_words(_last_text(case)) not in shown]
    for _ in suite.cases[len(asked) :]:
        suite.note("a case that is one of the examples is left out")
    suite.cases = asked
    chats = [case["messages"] for case in suite.cases if "messages" in case]
    heads = {text_of(chat[0]) for chat in chats if chat[0]["role"] == "system"}
    is_plain = all([m["role"] for m in chat] == ["system", "user"] for chat in chats)
    if len(chats) < len(suite.cases) or len(heads) != 1 or not is_plain:
        suite.put_examples_into_cases()
        return
    suite.prompts = [ImportedPrompt("system", "{{ input }}", _escaped(heads.pop() or ""))]
    for case in suite.cases:
        case["input"] = case.pop("messages")[-1]["content"]


def _last_text(case: Mapping[str, Any]) -> str:
    return str(case["messages"][-1]["content"] if "messages" in case else case["input"])


def _escaped(text: str) -> str:
    """Return *text* as a template that renders to it."""
    return f"{{% raw %}}{text}{{% endraw %}}" if _JINJA.search(text) else text


def _rubric(prompt: str, arguments: Mapping[str, Any], keys: Iterable[str]) -> str:
    """Return the prompt of a grader as the rubric of a judge, which sees input and reply anyway."""
    known = {"input": "(the input)", "completion": "(the reply)", "ideal": "{{ expected }}"}
    known |= {key: f"{{{{ {key} }}}}" for key in keys}
    for key, value in arguments.items():
        values = value.values() if isinstance(value, Mapping) else [value]
        known[key] = _escaped("\n".join(str(one) for one in values))
    text = "".join(_parts(_HOW_TO_ANSWER.sub("", prompt), known.get))
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _parts(prompt: str, value: Callable[[str], str | None]) -> Iterator[str]:
    """Yield the parts of a format string of Python, with the *value* of each field."""
    for literal, name, *_ in string.Formatter().parse(prompt):
        yield _escaped(literal)
        if name is not None:
            yield value(name) or f"({name})"
