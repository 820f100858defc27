"""What is read of another tool's configuration or dataset, before it is written as a suite."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import starmap
from typing import Any

from pytest_ftgate.readers.text import joined_values, text_of

#: Answers of at most so many words are looked for in the reply; longer ones are compared.
_SHORT_ANSWER = 6
#: What stands for the module of the functions, and encloses a path relative to the read file.
SCORES = "\ue002scores"
PATH = "\ue000{}\ue001"
#: A rubric that grades by the expected answer.
AGREES = "The reply agrees with the expected answer: {{ expected }}"


@dataclass(frozen=True, slots=True)
class ImportedPrompt:
    """A prompt, with the name that the tool gives it: two templates.

    Attributes:
        unread: what it is instead, such as a file of Python; "" for templates.
    """

    name: str
    user: str
    system: str = ""
    unread: str = ""


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """A model as the tool declares it.

    Attributes:
        name: its label.
        id: what names provider and model, such as ``openai:gpt-4.1-mini``.
        settings: its configuration.
    """

    name: str
    id: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class ImportedSuite:
    """A suite as far as a file of another tool declares it.

    Attributes:
        cases: the cases, with the keys of a file of cases.
        rubric: what a judge grades by: a template; "" without a judge.
        judge: the judge's model, if the file names one.
        grades: what a judge may answer, and the score of each; empty for the usual ones.
        examples: few-shot examples: rows of training data.
        tools: the arguments of each tool that a model may call, with their types in Python.
        limits: the keys of the gates cost and latency, by the name of the gate.
        functions: functions that cases name as ``SCORES:name``, by name: Python.
        counts: how many assertions of all cases are ``carried``, ``stubs`` or ``dropped``.
        notes: what is not carried over, and how often.
    """

    tool: str
    cases: list[dict[str, Any]] = field(default_factory=list)
    prompts: list[ImportedPrompt] = field(default_factory=list)
    models: list[ImportedModel] = field(default_factory=list)
    score: Any = None
    rubric: str = ""
    judge: ImportedModel | None = None
    grades: dict[str, float] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)
    tools: dict[str, dict[str, str]] = field(default_factory=dict)
    limits: dict[str, dict[str, float]] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def note(self, text: str) -> None:
        """Add one thing that is not carried over."""
        self.notes[" ".join(text.split())] += 1

    def add_function(self, name: str, source: str) -> str:
        """Return the reference of a function with *source*, where its name is written ``NAME``."""
        known = next((n for n, text in self.functions.items() if text == source), None)
        if known is None:
            known = unique(name, self.functions).replace("-", "_")
            self.functions[known] = source
        return f"{SCORES}:{known}"

    def add_cases(self, cases: Iterable[dict[str, Any]]) -> None:
        """Add *cases*, with an id for each; those without an input are left out."""
        ids = {case["id"] for case in self.cases}
        for number, case in enumerate(cases, len(self.cases) + 1):
            if not case.get("input") and not case.get("messages"):
                self.note("a case without an input")
                continue
            case_id = unique(slug(str(case.get("id") or "")) or f"case-{number}", ids)
            ids.add(case_id)
            kept = {k: v for k, v in case.items() if v not in (None, [], {}, "")}
            self.cases.append({"id": case_id, **{k: v for k, v in kept.items() if k != "id"}})

    def fit(self, reads: Callable[[str], bool]) -> None:
        """Express examples and tools in another way where a variant does not read such a key."""
        if self.examples and not reads("examples"):
            self.put_examples_into_cases()
        if self.tools and not reads("tools"):
            self.note("expected tools: only a model calls them, so import again with --variant")
            self.tools = {}
            for case in self.cases:
                _drop_tools(case)

    def put_examples_into_cases(self) -> None:
        """Put the examples, and the system prompt before them, into the messages of each case."""
        system = next((prompt.system for prompt in self.prompts), "")
        system = system.removeprefix("{% raw %}").removesuffix("{% endraw %}")
        head = [{"role": "system", "content": system}] if system else []
        shots = [message for row in self.examples for message in row["messages"]]
        for case in self.cases:
            own = case.pop("messages", None) or [{"role": "user", "content": case.pop("input")}]
            case["messages"] = [*head, *own[:-1], *shots, own[-1]]
        self.examples, self.prompts = [], []

    def variant_keys(self, name: str) -> dict[str, Any]:
        """Return further keys of each variant of the suite *name*."""
        shown = {"from": f"{name}.examples.jsonl", "shots": len(self.examples)}
        tools = [f"{module_name(name)}_tools:{tool}" for tool in self.tools]
        keys: dict[str, Any] = {"examples": shown} if self.examples else {}
        return {**keys, "tools": tools} if tools else keys

    def more_files(self, name: str) -> dict[str, str]:
        """Return the files that these keys name, by their names."""
        rows = (json.dumps(row, ensure_ascii=False) for row in self.examples)
        examples = {f"{name}.examples.jsonl": "".join(f"{row}\n" for row in rows)}
        tools = "".join(starmap(_tool_source, self.tools.items()))
        head = '"""Doubles of the tools: say what each does and returns, or import your own."""\n'
        files = examples if self.examples else {}
        return {**files, f"{module_name(name)}_tools.py": head + tools} if self.tools else files

    def set_usual_score(self) -> None:
        """Set a score that fits its expected answers, where the tool declares none."""
        cases = [case for case in self.cases if "expected" in case and "score" not in case]
        answers = [case["expected"] for case in cases]
        texts = [text for one in answers for text in (one if isinstance(one, list) else [one])]
        if not answers or self.score is not None:
            return
        if any(isinstance(answer, Mapping) for answer in answers):
            for case in cases:
                if not isinstance(case["expected"], Mapping):
                    case["score"] = "contains"
            self.score = "fields"
        elif all(len(str(text).split()) <= _SHORT_ANSWER for text in texts):
            self.score = "contains"
        else:
            self.score = {"similarity": {"by": "tfidf"}}
            self.note("the file names no metric: long answers are compared by words; a judge fits")


def module_name(name: str) -> str:
    """Return *name* as that of a Python module."""
    word = re.sub(r"\W", "_", name)
    return f"{'_' * word[:1].isdigit()}{word}"


def _tool_source(name: str, arguments: Mapping[str, str]) -> str:
    """Return the function that stands for a tool."""
    written = ", ".join(f"{key}: {kind}" for key, kind in arguments.items())
    return f'\n\ndef {name}({written}) -> str:\n    """{name}"""\n    return "done"\n'


def _drop_tools(case: dict[str, Any]) -> None:
    """Take what *case* expects of tools out of it."""
    if case.get("score") == "tool_call":
        del case["score"], case["expected"]
    rules = [rule for rule in case.pop("format", ()) if "tool_call" not in rule]
    if rules:
        case["format"] = rules


def slug(text: str, longest: int = 40) -> str:
    """Return *text* as a name of letters, digits, dots and dashes."""
    return re.sub(r"[^\w.]+", "-", text).strip("-.")[:longest].strip("-.")


def unique(name: str, taken: Collection[str]) -> str:
    """Return *name*, with a number behind it if it is one of *taken*."""
    if name not in taken:
        return name
    names = {*taken}
    numbered = (f"{name}-{n}" for n in range(2, len(names) + 3))
    return next(one for one in numbered if one not in names)


def input_keys(values: Any) -> dict[str, Any]:
    """Return the keys of a case for its input: a text, messages, or a mapping of variables."""
    if isinstance(values, Mapping):
        variables = {str(key): value for key, value in values.items() if value is not None}
        only_input = [*variables] == ["input"] and isinstance(variables["input"], str)
        keys = {} if only_input or not variables else {"vars": variables}
        return {"input": joined_values(variables), **keys}
    roles = ("system", "user", "assistant")
    if isinstance(values, Sequence) and not isinstance(values, str):
        messages = [
            {"role": message["role"], "content": text_of(message) or ""}
            for message in values
            if isinstance(message, Mapping) and message.get("role") in roles
        ]
        if messages and len(messages) == len(values):
            return {"messages": messages}
    return {"input": text_of(values) or ""}


def expected_of(value: Any) -> Any:
    """Return an expected answer as a suite takes it: text, a mapping, or a list of text."""
    if isinstance(value, Mapping) and len(value) == 1:
        return expected_of(next(iter(value.values())))
    if isinstance(value, Mapping):
        return {str(key): inner for key, inner in value.items()} or None
    if isinstance(value, list):
        return [text for text in map(text_of, value) if text] or None
    if isinstance(value, bool | int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return text_of(value) or None
