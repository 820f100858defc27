"""The verb import: a suite out of another tool's configuration or dataset."""

from __future__ import annotations

import json
import os
import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from pytest_ftgate.cli import VerbOutput, writing
from pytest_ftgate.errors import ConfigurationError, SuiteError
from pytest_ftgate.readers.datasets import read_import
from pytest_ftgate.readers.imported_suite import (
    PATH,
    SCORES,
    ImportedModel,
    ImportedPrompt,
    ImportedSuite,
    module_name,
    slug,
    unique,
)
from pytest_ftgate.readers.yaml import read_yaml
from pytest_ftgate.reporting.number_text import quantity
from pytest_ftgate.reporting.text import escape_controls, wrap_lines
from pytest_ftgate.runner.suite import check_feasibility, with_limits
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.providers import provider_keys, provider_spec, reads_key
from pytest_ftgate.suite.templates import (
    CASE_VARIABLES,
    PASSAGES,
    TemplateError,
    render_template,
    template_variables,
)

_SUFFIX = ".ftgate.yaml"
#: The judge where a configuration leaves it to the tool.
_USUAL_JUDGE = "gpt-5.4"
#: Keys of a provider's configuration, and those of a variant.
_SETTINGS = {
    **{key: key for key in ("temperature", "top_p", "seed", "max_tokens", "thinking")},
    **dict.fromkeys(
        ("maxOutputTokens", "max_output_tokens", "max_completion_tokens"), "max_tokens"
    ),
    "topP": "top_p",
    "apiBaseUrl": "base_url",
    "apiKeyEnvar": "api_key_env",
    "reasoning_effort": "effort",
}
#: Settings that change nothing here: thoughts are no part of a reply.
_SILENT = (("showThinking", False),)
#: What is no chat model, though its seller has some.
_AGENTS = re.compile(r"-sdk\b|agent|assistant|chatkit|app-server|^claude-code|^codex(?!-mini)")
#: What stands between seller and model in an id.
_APIS = ("chat", "completion", "completions", "messages", "responses", "converse")
_OTHER_APIS = ("embedding", "embeddings", "image", "video", "realtime", "assistant", "moderation")
_NOT_EMPTY = {"length": {"unit": "characters", "min": 1}}
#: The program that a suite without a model calls, to fill in, and the functions that score.
_PROGRAM = Path(__file__).parent / "starter" / "program.py.txt"
_SCORES = Path(__file__).parent / "starter" / "scores.py.txt"


def import_suite(file: Path, out: Path | None, variant: str | None) -> VerbOutput:
    """Write the suite that *file* declares, with its cases, and return what to print.

    *variant* has the keys of a variant in YAML, for files that name no model, or another one.

    Raises:
        ConfigurationError: the file or an option cannot be used, or a file exists already.
    """
    file = file if file.name else file.absolute()  # such as "."
    path = out or imported_path(file)
    if not path.name.endswith(_SUFFIX) or path.name == _SUFFIX:
        raise ConfigurationError(f"{path}: the name of a suite ends in {_SUFFIX}")
    imported = read_import(file)
    writer = _Writer(imported, path, file)
    writer.prepare(_variant_keys(variant) if variant else None)
    writer.write()
    errors = _errors(path, writer)
    return VerbOutput(tuple(_lines(writer, errors)), 1 if errors else 0)


def imported_path(file: Path) -> Path:
    """Return where the suite is written that *file* declares: beside it."""
    _, _, part = file.name.partition("::")
    return file.with_name(f"{part.replace('.', '-') or file.name.partition('.')[0]}{_SUFFIX}")


def _variant_keys(written: str) -> dict[str, Any]:
    document = read_yaml(written, "--variant")
    if document.errors or not isinstance(document.value, dict):
        example = "'{provider: anthropic, model: claude-haiku-5-5}'"
        raise ConfigurationError(f"--variant {written} is no mapping; write it as in {example}")
    return document.value


def _errors(path: Path, writer: _Writer) -> list[str]:
    """Return what is wrong with the written suite; it gets plain thresholds for few cases."""
    try:
        suite = load_suite(path.absolute(), path.absolute().parent)
        check_feasibility(with_limits(suite, {}))
    except SuiteError as error:
        if writer.has_thresholds:
            return [str(one) for one in error.errors]
        writer.has_thresholds = True
        path.write_text(writer.text(), "utf-8")
        return _errors(path, writer)
    return []


def _lines(writer: _Writer, errors: Sequence[str]) -> Iterator[str]:
    imported, path = writer.imported, writer.path
    counts = [quantity(len(imported.cases), "case"), quantity(len(writer.variants), "variant")]
    yield escape_controls(f"{writer.origin.name} ({imported.tool}): {', '.join(counts)}")
    yield from writer.assertion_counts()
    yield from wrap_lines(f"wrote {', '.join(map(str, writer.files()))}", 0, keep_long_words=True)
    if imported.notes:
        yield ""
        yield "not carried over, or different here (also at the top of the suite):"
        for note in writer.notes():
            yield from wrap_lines(escape_controls(f"- {note}"), 2, keep_long_words=True)
    yield ""
    if errors:
        yield "mend these errors in the suite:"
        yield from (escape_controls(f"  {error}") for error in errors)
    else:
        yield f"next: pytest --ftgate --ftgate-plan {shlex.quote(str(path))}"


@dataclass(slots=True)
class _Writer:
    """The suite file and those beside it.

    Attributes:
        origin: the imported file.
        models: those of the imported file, by the names of their variants.
        programs: the models and prompts that functions stand for, by the names of these.
        has_thresholds: True if the gates are plain thresholds, since the cases are too few.
    """

    imported: ImportedSuite
    path: Path
    origin: Path
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    prompts: list[ImportedPrompt] = field(default_factory=list)
    reply: dict[str, Any] = field(default_factory=dict)
    models: dict[str, ImportedModel] = field(default_factory=dict)
    programs: dict[str, tuple[ImportedModel | None, str]] = field(default_factory=dict)
    has_thresholds: bool = False

    def beside(self, ending: str) -> Path:
        """Return the file of the suite's name with another *ending*."""
        return self.path.with_name(self.path.name.removesuffix(_SUFFIX) + ending)

    def prepare(self, variant: Mapping[str, Any] | None) -> None:
        """Decide on variants, prompts and the rules for replies; notes go to the suite."""
        self.prompts = [*map(self.usable, self.imported.prompts)]
        models = {} if variant is None else {"current": dict(variant)}
        for model in self.imported.models if variant is None else ():
            name = unique(slug(model.name.rpartition(":")[2]) or "model", models)
            self.models[name] = model
            models[name] = model_keys(self.imported, model) or self.program_keys(name, model)
        if not models:
            models = {"current": self.program_keys("answer", None)}
            del self.prompts[1:]
        providers = [keys.get("provider") for keys in models.values()]
        self.imported.fit(lambda key: all(reads_key(provider, key) for provider in providers))
        self.prompts = self.imported.prompts and self.prompts
        self.cross(models)
        self.reply = self.rules()

    def program_keys(
        self, name: str, model: ImportedModel | None, prompt: str = ""
    ) -> dict[str, Any]:
        """Return the keys of a variant that calls a function to fill in.

        It stands for *model* where that is no chat model, or its *prompt* no template.
        """
        program = self.module("program")
        function = unique(re.sub(r"\W", "_", name), self.programs).replace("-", "_")
        function = f"model_{function}" if function[0].isdigit() else function
        self.programs[function] = (model, prompt)
        what = f"prompt {prompt}" if prompt else f"provider {model.id}" if model else "no model"
        self.imported.note(f"{what}: write your program in {program.name}, or --variant")
        return {**(provider_keys("function") or {}), "function": f"{program.stem}:{function}"}

    def module(self, ending: str) -> Path:
        """Return the file of Python beside the suite with this *ending* of its name."""
        return self.path.with_name(f"{module_name(self.beside('').name)}_{ending}.py")

    def placed(self, value: Any) -> Any:
        """Return *value* with its functions and files named as they are from the suite."""
        if isinstance(value, Mapping):
            return {key: self.placed(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.placed(inner) for inner in value]
        if not isinstance(value, str):
            return value
        value = value.replace(SCORES, self.module("scores").stem)
        return re.sub(PATH.format("(.+?)"), lambda match: self.from_here(match[1]), value)

    def from_here(self, written: str) -> str:
        """Return a path that is relative to the imported file as one from the suite."""
        path = self.origin.absolute().parent / written
        return Path(os.path.relpath(path, self.path.absolute().parent)).as_posix()

    def usable(self, prompt: ImportedPrompt) -> ImportedPrompt:
        """Return *prompt*, unread if a case cannot be rendered; missing variables are empty."""
        if prompt.unread:
            return prompt
        try:
            variables = template_variables(prompt.user) | template_variables(prompt.system)
            known = {*CASE_VARIABLES, PASSAGES}
            for case in self.imported.cases:
                missing = variables - known - case.get("vars", {}).keys()
                if missing:
                    case["vars"] = {**case.get("vars", {}), **dict.fromkeys(missing, "")}
                    names = ", ".join(sorted(missing))
                    self.imported.note(f"a case without the variable {names}: it is empty")
                values = {"input": case.get("input", ""), **case.get("vars", {}), "tags": ()}
                for template in (prompt.user, prompt.system):
                    render_template(template, {"passages": "", "id": case["id"], **values})
        except TemplateError as error:
            return replace(prompt, unread=f"{prompt.name}: {error}")
        return prompt

    def cross(self, models: Mapping[str, Mapping[str, Any]]) -> None:
        """Make a variant of each model with each prompt."""
        several = len(self.prompts) > 1
        more = self.imported.variant_keys(self.beside("").name)
        for number, prompt in enumerate(self.prompts or [ImportedPrompt("", "")]):
            for name, keys in models.items():
                parts = (prompt.name * several, name if len(models) > 1 or not several else "")
                variant = "-".join(filter(None, parts))
                if keys.keys() & {"function", "replies"}:
                    # A program makes its own prompt of a case, and replies are made already.
                    own = {} if number else {name: dict(keys)}
                elif prompt.unread:
                    written = self.program_keys(variant, self.models.get(name), prompt.unread)
                    own = {variant: written}
                else:
                    own = {variant: {**keys, **(self.prompt_keys(prompt) if several else {})}}
                self.variants |= {unique(key, self.variants): {**own[key], **more} for key in own}

    def prompt_keys(self, prompt: ImportedPrompt) -> dict[str, Any]:
        system = {"prompt": self.beside(f".{prompt.name}.md").name} if prompt.system else {}
        return {**system, "user": prompt.user}

    def rules(self) -> dict[str, Any]:
        """Return the value of ``reply``; what all cases share moves there from the cases."""
        cases, imported = self.imported.cases, self.imported
        scored = [case for case in cases if "expected" in case]
        _fit_scores(scored, imported.score)
        reply: dict[str, Any] = {"score": imported.score} if imported.score else {}
        # A score that needs no expected answer would score cases that have none.
        joined = [case for case in cases if _is_joined(case.get("score"))]
        if imported.rubric:
            # Beside a judge, a case that a rule scores keeps its own score.
            grades = {"grades": imported.grades} if imported.grades else {}
            rubric = {"rubric": imported.rubric, **grades}
            judge = {"judge": {**rubric, "model": self.judge()}}
            shared = _shared("score", cases) if joined == cases else {}
            reply["score"] = _judged(shared.get("score", "judge"), judge)
        else:
            reply |= _shared("score", cases if joined else scored)
        reply |= _shared("format", cases)
        has_format = any("format" in keys for keys in (reply, *cases))
        if not (imported.rubric or joined or scored or has_format):
            imported.note("no assertion is checked: a reply must only not be empty")
            reply["format"] = _NOT_EMPTY
        return reply

    def judge(self) -> Mapping[str, Any]:
        """Return the keys of the judge's model."""
        model = self.imported.judge
        keys = model_keys(self.imported, model) if model else None
        if not keys:
            self.imported.note(f"the judge's model is your choice: {_USUAL_JUDGE} stands there")
            keys = {**(provider_keys("openai") or {}), "model": _USUAL_JUDGE}
        return keys

    def gates(self) -> dict[str, Any]:
        keys = {"min": 1, "evidence": "point"} if self.has_thresholds else {}
        cases = self.imported.cases
        scores = [self.reply.get("score"), *(case.get("score") for case in cases)]
        is_scored = bool(self.imported.rubric) or any("expected" in case for case in cases)
        is_scored = is_scored or any(map(_is_joined, scores))
        has_format = "format" in self.reply or any("format" in case for case in cases)
        gates = {"accuracy": is_scored, "format": has_format}
        return {gate: keys for gate, is_there in gates.items() if is_there}

    def assertion_counts(self) -> Iterator[str]:
        """Yield how many assertions of all cases are carried over, and how many are not."""
        counts = self.imported.counts
        if total := counts.total():
            stubs = f", {counts['stubs']:,} as functions to fill in" * bool(counts["stubs"])
            limits = f", {counts['limits']:,} as limits to add" * bool(counts["limits"])
            dropped = f", {counts['dropped']:,} left out" * bool(counts["dropped"])
            carried = f"{counts['carried']:,} carried over{stubs}{limits}{dropped}"
            yield f"of {quantity(total, 'assertion')} in all cases: {carried}"

    def notes(self) -> list[str]:
        """Return what is not carried over, each once with its count."""
        limits = (
            f"limit of {gate}: as a gate, gates: {json.dumps({gate: keys})}"
            for gate, keys in self.imported.limits.items()
        )
        counted = self.imported.notes.items()
        return [*(f"{n:,} × {t}" if n > 1 else t for t, n in counted), *limits]

    def text(self) -> str:
        """Return the suite file."""
        tool = self.imported.tool
        comments = [f"# Made by pytest-ftgate import from {self.origin.name} ({tool})."]
        comments += [f"# {line[:1].upper()}{line[1:]}." for line in self.assertion_counts()]
        notes = self.notes()
        comments += ["# Not carried over, or different here:"] if notes else []
        comments += [f"#   - {' '.join(escape_controls(note).split())}" for note in notes]
        comments += [_FEW] if self.has_thresholds else []
        only = self.prompts[0] if len(self.prompts) == 1 and not self.prompts[0].unread else None
        suite = {
            **(self.prompt_keys(only) if only else {}),
            "cases": self.beside(".cases.jsonl").name,
            **({"reply": self.placed(self.reply)} if self.reply else {}),
            "variants": self.variants,
            "gates": self.gates(),
        }
        return "\n".join([*comments, ""]) + yaml.dump(
            suite, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
        )

    def files(self) -> dict[Path, str]:
        """Return the text of each file."""
        cases = map(self.placed, self.imported.cases)
        rows = (json.dumps(case, ensure_ascii=False, default=str) for case in cases)
        files = {self.path: self.text()}
        files[self.beside(".cases.jsonl")] = "".join(f"{row}\n" for row in rows)
        for name, text in self.imported.more_files(self.beside("").name).items():
            files[self.path.with_name(name)] = text
        files |= {
            self.beside(f".{p.name}.md"): f"{p.system}\n"
            for p in self.prompts
            if p.system and not p.unread
        }
        if self.programs:
            program = _PROGRAM.read_text("utf-8")
            written = [_program(program, name, *of) for name, of in self.programs.items()]
            head = f'"""The programs that {self.path.name} tests."""'
            files[self.module("program")] = _joined(head, *written)
        if self.imported.functions:
            files[self.module("scores")] = self.scores()
        return files

    def scores(self) -> str:
        """Return the module of the functions that score."""
        named = self.imported.functions.items()
        sources = [self.placed(source.replace("NAME", name, 1)) for name, source in named]
        head, *helpers = _SCORES.read_text("utf-8").split("\n\n\n")
        used = _used(helpers, "\n".join(sources))
        code = "\n".join((*used, *sources))
        lines = head.replace("SUITE", self.path.name).split("\n")
        kept = "\n".join(line for line in lines if _is_used(line, code))
        return _joined(re.sub(r"\n{3,}", "\n\n", kept), *used, *sources)

    def write(self) -> None:
        """Write all files.

        Raises:
            ConfigurationError: one of them exists already, or cannot be written.
        """
        files = self.files()
        existing = [str(file) for file in files if file.exists()]
        if existing:
            some = "them" if existing[1:] else "it"
            exist = f"{', '.join(existing)} exist{'' if existing[1:] else 's'} already"
            raise ConfigurationError(f"{exist}; remove {some}, or name another suite: -o")
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for file, text in files.items():
                file.write_text(text, "utf-8")


def _joined(*parts: str) -> str:
    return "\n\n\n".join(map(str.strip, parts)) + "\n"


def _program(template: str, name: str, model: ImportedModel | None, prompt: str) -> str:
    """Return a function to fill in, with what the tool knew of *model* and its *prompt*."""
    keys: dict[str, Any] = {"id": model.id} if model else {}
    keys |= {"prompt": prompt} if prompt else {}
    keys |= {"config": _without_keys(model.settings)} if model and model.settings else {}
    shown = yaml.safe_dump(keys, sort_keys=False, allow_unicode=True) if keys else ""
    comment = textwrap.indent(shown, "    # ", lambda _: True)
    call = f"call {model.id} here" if model else "call your program here"
    return template.format(name=name, comment=comment, message=repr(f"{call}, and return its text"))


def _without_keys(value: Any) -> Any:
    """Return settings without the keys of APIs in them."""
    if not isinstance(value, Mapping):
        return value
    secret = re.compile(r"key|token|secret|password|authorization|cookie", re.IGNORECASE)
    return {k: _without_keys(v) for k, v in value.items() if not secret.search(str(k))}


def _used(helpers: Sequence[str], code: str) -> list[str]:
    """Return the helpers that *code* calls, or one of them calls."""
    names = {helper: re.findall(r"^def (\w+)", helper, re.MULTILINE)[0] for helper in helpers}
    used: set[str] = set()
    while True:
        known = "\n".join((code, *used))
        found = {one for one, name in names.items() if re.search(rf"(?<!def )\b{name}\(", known)}
        if found == used:
            return [helper for helper in helpers if helper in used]
        used = found


def _is_used(line: str, code: str) -> bool:
    """Return True unless *line* imports a name that *code* lacks."""
    name = re.fullmatch(r"(?:from .+ )?import (\w+).*", line)
    return not name or re.search(rf"\b{name[1]}[.(]", code) is not None


def _judged(score: Any, judge: Mapping[str, Any]) -> Any:
    """Return *score* with *judge* in place of its name."""
    if isinstance(score, Mapping):
        if score.get("judge") == {}:
            return {**score, **judge}
        return {key: _judged(inner, judge) for key, inner in score.items()}
    if isinstance(score, list):
        return [_judged(inner, judge) for inner in score]
    return judge if score == "judge" else score


def _is_joined(score: Any) -> bool:
    return isinstance(score, Mapping) and "all" in score


def _fit_scores(cases: Sequence[dict[str, Any]], usual: Any) -> None:
    """Give cases a score that reads their kind of expected answer: fields, or text."""
    for case in cases:
        if "score" in case:
            continue
        score = usual or "exact"
        if isinstance(case["expected"], Mapping) and score != "tool_call":
            case["score"] = "fields"
        elif score == "fields":
            case["score"] = "exact"


def _shared(key: str, cases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return *key* with the value that all *cases* have, after taking it out of them."""
    first = cases[0].get(key) if cases else None
    if first is None or any(case.get(key) != first for case in cases):
        return {}
    for case in cases:
        del case[key]
    return {key: first}


_FEW = (
    "# The cases are too few for statistics, so the gates are plain thresholds: every case must\n"
    "# be right. With more cases remove these keys: the gates then limit what is lost."
)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature of the base class
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> Any:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def model_keys(suite: ImportedSuite, model: ImportedModel) -> dict[str, Any] | None:
    """Return the keys of a variant for *model*, or None after a note that says why not."""
    seller, _, rest = model.id.partition(":")
    api, _, name = rest.partition(":")
    name = name if api in _APIS and name else rest
    keys: dict[str, Any] | None = provider_keys(seller.replace("azureopenai", "azure"))
    spec = provider_spec(keys["provider"] if keys else "")
    # Of Amazon's models only Claude speaks the API that this package knows.
    is_other = api in _OTHER_APIS or (spec.seller == "aws" and "anthropic." not in name)
    if keys is None or not spec.hosted or not name or is_other or _AGENTS.search(rest):
        return None
    keys = {**keys, "model": name}
    for written, value in model.settings.items():
        key = _SETTINGS.get(written)
        if (written, value) in _SILENT:
            continue
        if key is None or not reads_key(keys["provider"], key) or not _is_plain(key, value):
            suite.note(f"{written} of a provider")
        else:
            keys[key] = value
    return keys


def _is_plain(key: str, value: Any) -> bool:
    """Return True if *value* can be the value of a variant's *key* as it is written."""
    if key in ("temperature", "top_p"):
        return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    if key in ("max_tokens", "seed"):
        return isinstance(value, int) and not isinstance(value, bool) and value > 0
    if key == "effort":
        return value in ("low", "medium", "high")
    return isinstance(value, Mapping) if key == "thinking" else isinstance(value, str)
