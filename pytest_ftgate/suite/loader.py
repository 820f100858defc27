"""Load a suite file into a `Suite`, or raise all its errors at once, with links to their keys."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from pytest_ftgate.errors import ConfigurationError, Diagnostic, SuiteError, did_you_mean
from pytest_ftgate.readers.file_limits import NO_LIMITS, FileLimits, read_here
from pytest_ftgate.readers.source import declared_keys, validation_message
from pytest_ftgate.readers.table import Row, read_rows, rows_at
from pytest_ftgate.readers.yaml import Document, KeyPath, read_yaml
from pytest_ftgate.settings import Override, docs_page
from pytest_ftgate.suite.cases import render_cases, synonym_error, to_cases, unused_field_error
from pytest_ftgate.suite.declaration import (
    UNION_TAGS,
    DeclaredReply,
    DeclaredSuite,
    DeclaredVariant,
    split_marks,
)
from pytest_ftgate.suite.draft import PluginContributions, SuiteDraft, SuiteSource
from pytest_ftgate.suite.formats import FORMAT_KINDS, resolve_format
from pytest_ftgate.suite.gates import check_gates, resolve_gates
from pytest_ftgate.suite.ladder import resolve_ladder
from pytest_ftgate.suite.model import Case, Inputs, Judge, ReplyRules, Suite, ThoughtMarks, Variant
from pytest_ftgate.suite.removed import removal
from pytest_ftgate.suite.rule import Rule, choice_labels, function_error
from pytest_ftgate.suite.score_rules import resolve_score
from pytest_ftgate.suite.scorers import SCORE_KINDS
from pytest_ftgate.suite.templates import check_template
from pytest_ftgate.suite.variants import check_tool_names, resolve_variants

if TYPE_CHECKING:
    from pytest_ftgate.suite.judges import JudgeDeclaration

PAGE = "reference/suite-keys"
#: The kinds of rules by the keys that take them.
_RULES = {"format": FORMAT_KINDS, "score": SCORE_KINDS}
#: The key that a message begins with, behind the name of a variant.
_SUBJECT = re.compile(r'(?:variant "[^"]*": )?"?(\w[\w-]*)')


def model_at(key_path: Iterable[str | int]) -> type[BaseModel]:
    """Return the declared class that holds the keys at *key_path*."""
    model: type[BaseModel] = DeclaredSuite
    for key in key_path:
        model = _inner_model(model, str(key)) or model
    return model


def _inner_model(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    field = next((f for name, f in model.model_fields.items() if key in (f.alias, name)), None)
    kinds = _types_in(field.annotation) if field else ()
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)


def _types_in(annotation: Any) -> Iterable[Any]:
    yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _types_in(inner)


def anchor(*names: str) -> str:
    """Return the anchor of a key, from the name of its class, or of its rule, and its own."""
    return "-".join(name.removeprefix("Declared").lower() for name in names)


def key_address(*key_path: str | int) -> str:
    """Return the address of the entry on the deepest known key of *key_path*, or of the page."""
    for end in range(len(key_path), 0, -1):
        key, model = str(key_path[end - 1]), model_at(key_path[: end - 1])
        if key in declared_keys(model):
            # A kind of rule, below ``score`` or ``format``, has an entry of its own.
            kind = next((str(part) for part in key_path[end:] if part in _RULES.get(key, ())), "")
            return docs_page(PAGE, anchor(key, kind) if kind else anchor(model.__name__, key))
    return docs_page(PAGE)


def with_addresses(errors: Iterable[Diagnostic], source: SuiteSource) -> list[Diagnostic]:
    """Return *errors* with the address of its key at each one that lies in the suite file.

    The keys of a marked function stand in Python, and have a page of their own.
    """
    document = source.document
    if not document.path.endswith((".yaml", ".yml")):
        return [*errors]
    by_place = defaultdict[tuple[str, int], list[KeyPath]](list)
    for key_path, line in document.lines.items():
        by_place[source.place(line)].append(key_path)
    keys = ((error, by_place.get((error.path, error.line))) for error in errors)
    return [
        replace(error, address=key_address(*_key_of(error.message, found))) if found else error
        for error, found in keys
    ]


def _key_of(message: str, key_paths: list[KeyPath]) -> KeyPath:
    """Return the key that *message* is about, of the keys that its line has."""
    words = {*re.findall(r"\w+", message)}
    deepest = sorted(key_paths, key=len, reverse=True)
    subject = _SUBJECT.match(message)
    for key_path in deepest:
        if key_path and str(key_path[-1]) in words:
            return key_path
    for key_path in deepest:
        if subject and subject[1] in declared_keys(model_at(key_path)):
            return (*key_path, subject[1])
    return min(key_paths, key=len)


#: What stands for a required key that is missing, so that the errors of the others are found too.
_MISSING: Mapping[str, Any] = {"cases": [], "variants": {}, "gates": {}}


def read_declared(source: SuiteSource) -> DeclaredSuite | None:
    """Return the validated keys of a suite file, or None if it has none.

    Errors go to *source*; values with errors are removed, and validation goes on without them.
    """
    value = source.document.value
    if not isinstance(value, dict):
        if value is not None:
            source.add_error(1, "a suite is a mapping of keys to values")
        return None
    # Cases within the suite file are validated later, like those of case files.
    mapping = {**value, "cases": ""} if isinstance(value.get("cases"), list) else value
    while True:
        try:
            return DeclaredSuite.model_validate(mapping, context=source.plugins)
        except ValidationError as error:
            for key_path, detail in _details_by_path(source.document, error).items():
                is_missing = detail["type"] == "missing"
                # A key in the file that counts as missing had an error and was removed.
                if not (is_missing and key_path in source.document.lines):
                    _add_validation_error(source, detail)
                if is_missing and len(key_path) == 1:
                    mapping = {**mapping, key_path[0]: _MISSING[str(key_path[0])]}
                else:
                    mapping = _without(mapping, key_path[:-1] if is_missing else key_path)


def _details_by_path(document: Document, error: ValidationError) -> dict[KeyPath, dict[str, Any]]:
    """Return one error detail for each place of the file; a union causes one for each type."""
    details: dict[KeyPath, dict[str, Any]] = {}
    for detail in error.errors():
        key_path: KeyPath = tuple(part for part in detail["loc"] if part not in UNION_TAGS)
        while key_path and key_path not in document.lines and detail["type"] != "missing":
            key_path = key_path[:-1]
        details[key_path] = {**detail, "loc": key_path}
    return details


def _add_validation_error(source: SuiteSource, detail: dict[str, Any]) -> None:
    key_path: KeyPath = tuple(detail["loc"])
    hint, is_sure = _hint_at(key_path)
    known = () if is_sure else declared_keys(model_at(key_path[:-1]))
    written = source.document.raw.get(key_path)
    message = validation_message(detail, known, written, hint=hint)
    message = removal(key_path, detail, message) or message
    is_number = detail["type"] == "model_type" and isinstance(detail["input"], float)
    if is_number and "min" in declared_keys(model_at(key_path)):
        message += f"; write {key_path[-1]}: {{min: {detail['input']:g}}}"
    match key_path:
        case ("variants", name, _, *_):
            message = f'variant "{name}": {message}'
    source.add_error_at(key_path, message)


def _without(value: Any, key_path: KeyPath) -> Any:
    """Return *value* without the value at *key_path*, so that the rest can be validated."""
    if not key_path:
        return {}
    key, *deeper = key_path
    if isinstance(value, dict) and key in value:
        rest = {k: v for k, v in value.items() if k != key}
        return {**rest, key: _without(value[key], tuple(deeper))} if deeper else rest
    return type(value)() if isinstance(value, dict | list) else None


_SERVER_SETTINGS = ("top_k", "min_p")
_PROMPT_FILE = "; the system prompt is a file: write prompt: FILE"
#: What to write in place of keys that other tools have.
_OTHER_NAMES = {
    "system": _PROMPT_FILE,
    "system_prompt": _PROMPT_FILE,
    "api_key": "; a key in a file gets committed: put it into a variable, and name that in "
    "api_key_env",
    "extra_body": "; settings of the server itself go into extra: {…}",
}
#: What ``load`` has in place of names that ``from_pretrained`` takes.
_LOADING_NAMES = {
    "torch_dtype": "; write dtype",
    "attn_implementation": "; write attention",
    "load_in_4bit": "; write quantization: nf4",
    "load_in_8bit": "; write quantization: int8",
    "quantization_config": "; write quantization: nf4, or int8",
    "trust_remote_code": "; code that a model brings is never run: remove it",
}


def _hint_at(key_path: KeyPath) -> tuple[str, bool]:
    """Return where an unknown key at *key_path* belongs, or "", and whether that is sure.

    Where it is not, the key may be a misspelt one instead.
    """
    match key_path:
        case (*outer, key) if key in _OTHER_NAMES and "prompt" in declared_keys(model_at(outer)):
            return _OTHER_NAMES[str(key)], True
        case ("variants", _, key):
            hint = f"; a setting of the server itself goes into extra: {{{key}: …}}"
            return hint, key in _SERVER_SETTINGS
        case ("variants", _, "load", key) if key in _LOADING_NAMES:
            return _LOADING_NAMES[str(key)], True
        case (key,) if key in declared_keys(DeclaredReply):
            return f"; it belongs under reply, as reply: {{{key}: …}}", True
        case (key,) if key in declared_keys(DeclaredVariant):
            return f"; it belongs to a variant, as variants: {{NAME: {{{key}: …}}}}", True
    return "", False


#: Returns the content of a suite file in another form: keys and values as YAML has them.
Transform = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def load_suite(
    path: Path,
    root: Path,
    plugins: PluginContributions | None = None,
    transform: Transform | None = None,
    *,
    overrides: Sequence[Override] = (),
    safe: bool = False,
) -> Suite:
    """Return the suite in the ``*.ftgate.yaml`` file *path*.

    *root* is the directory that holds every file that the suite names. *transform* changes the
    content before it is validated; *overrides* then set keys of its variants. If *safe*, the author
    is a stranger: no more is read of the files than safe mode allows.

    Raises:
        SuiteError: the suite cannot be used. It holds all errors, with line and remedy.
    """
    given = plugins or PluginContributions()
    limits = _safe_limits() if safe else NO_LIMITS
    source = SuiteSource(
        root=root.resolve(), path=path.resolve(), plugins=given, safe=safe, limits=limits
    )
    if safe and not source.path.is_relative_to(source.root):
        message = f"it lies outside {source.root}; --ftgate-safe does not allow it"
        raise SuiteError(path.name, [Diagnostic(path.name, 0, message)])
    if hidden := source.hidden_part(source.path):
        message = f"it lies in {hidden}; move it to another folder"
        raise SuiteError(path.name, [Diagnostic(path.name, 0, message)])
    name = source.display_path(source.path)
    try:
        content = partial(_content, source, transform, overrides)
        return read_here(lambda: resolve_suite(content()), name, source.files)
    except ConfigurationError as error:
        raise SuiteError(name, [Diagnostic(name, 0, str(error).removeprefix(f"{name} "))]) from None


def _safe_limits() -> FileLimits:
    from pytest_ftgate.suite.safe_mode import SAFE_LIMITS

    return SAFE_LIMITS


def _content(
    source: SuiteSource, transform: Transform | None, overrides: Sequence[Override]
) -> SuiteSource:
    source = _read_document(source)
    if transform and isinstance(source.document.value, dict):
        content = dict(transform(source.document.value))
        source = replace(source, document=replace(source.document, value=content))
    if not overrides:
        return source
    from pytest_ftgate.suite.overrides import with_overrides

    return with_overrides(source, overrides)


def _read_document(source: SuiteSource) -> SuiteSource:
    """Return *source* with its content."""
    problem = source.limits.problem(source.path)
    if problem:
        source.add_error(0, problem, source.path)
    text = None if problem else source.read_text(source.path, 0, "suite")
    document = read_yaml(text or "", source.display_path(source.path))
    source.errors.extend(document.errors if text is not None else ())
    return replace(source, document=document)


def resolve_suite(source: SuiteSource) -> Suite:
    """Return the suite that a suite file or a mark declares.

    Raises:
        SuiteError: the suite cannot be used, or *source* already holds errors.
    """
    declared = read_declared(source)
    suite = _build_suite(source, declared) if declared else None
    if source.errors or suite is None:
        errors = with_addresses(source.errors, source)
        raise SuiteError(source.display_path(source.path), errors)
    return replace(
        suite,
        files=tuple(source.files),
        globs=tuple(source.globs),
        places=_places(source, suite.variants.values()),
        warnings=tuple(dict.fromkeys(source.warnings)),
    )


#: The keys that a step may advise to edit, and that of the ladder, which asks for advice.
_PLACED = ("baseline", "variants", "gates", "reply", "ladder")


def _places(source: SuiteSource, variants: Iterable[Variant]) -> Mapping[str, str]:
    """Return where the keys stand that others ask for."""
    places = _written_places(source)
    for variant in variants:
        name, own = f"variants.{variant.declared_name}", f"variants.{variant.name}"
        places |= {
            own + key.removeprefix(name): place
            for key, place in places.items()
            if variant.checkpoint and (key == name or key.startswith(f"{name}."))
        }
    return places


def _written_places(source: SuiteSource) -> dict[str, str]:
    file = source.display_path(source.path)
    return {
        ".".join(map(str, key_path)): f"{file}:{line}"
        for key_path, line in source.document.lines.items()
        if line > 0  # it stands in the file
        if key_path and key_path[0] in _PLACED and len(key_path) <= 3  # noqa: PLR2004 - gates.G.key
    }


def _build_suite(source: SuiteSource, declared: DeclaredSuite) -> Suite:
    reply, judges = _resolve_reply(source, declared)
    cases = _read_cases(source, declared, reply)
    draft = SuiteDraft(source, declared, cases, reply)
    variants = resolve_variants(draft)
    gates = resolve_gates(draft, partial(_suite_as_skill, source))
    baseline = _baseline_name(source, declared)
    check_tool_names(draft, variants)
    check_gates(source, gates, variants, baseline)
    repeats = _repeats(source, declared, variants.values())
    is_of_files = declared.repeats is None and repeats != 1
    return Suite(
        path=source.path,
        name=source.display_path(source.path),
        cases=tuple(case for case in cases if not case.holdout),
        inputs=_inputs(draft),
        holdout=tuple(case for case in cases if case.holdout),
        reply=reply,
        variants=variants,
        baseline=baseline,
        gates=gates,
        repeats=repeats,
        written_repeats="all" if is_of_files else repeats or "auto",
        **resolve_ladder(draft, variants, baseline),
        judges=_judges(draft, judges),
    )


def _judges(draft: SuiteDraft, declarations: tuple[JudgeDeclaration, ...]) -> tuple[Judge, ...]:
    if not declarations:
        return ()
    from pytest_ftgate.suite.judges import resolve_judges

    return resolve_judges(draft, declarations)


def _inputs(draft: SuiteDraft) -> Inputs | None:
    if draft.declared.inputs is None:
        return None
    from pytest_ftgate.suite.inputs import resolve_inputs

    rows_of = partial(_rows_of, draft.source, draft.declared, reply=draft.reply, key="inputs")
    return resolve_inputs(draft, draft.declared.inputs, rows_of)


def _repeats(
    source: SuiteSource, declared: DeclaredSuite, variants: Collection[Variant]
) -> int | None:
    """Return the number of replies per case, or None for the number that the gates need."""
    if declared.repeats != "auto" and all(variant.replies for variant in variants):
        from pytest_ftgate.suite.external_cases import runs_of_files

        runs = runs_of_files(variants)
        if declared.repeats is None:
            return runs
        if isinstance(declared.repeats, int) and runs > declared.repeats:
            what = f"repeats: {declared.repeats} leaves out runs: a task has up to {runs}"
            message = f"{what}; write repeats: {runs}, or remove it to read all there are"
            source.add_warning(source.line("repeats"), message)
    return None if declared.repeats == "auto" else declared.repeats or 1


def _baseline_name(source: SuiteSource, declared: DeclaredSuite) -> str:
    written = source.written("variants")
    if source.document.value.get("variants") == {}:
        message = "variants: none declared; write current: {provider: anthropic, model: ...}"
        source.add_error_at(("variants",), message)
    baseline = declared.baseline or next(iter(declared.variants), "")
    if written and baseline and baseline not in written:
        near = did_you_mean(baseline, declared.variants)
        source.add_error_at(("baseline",), f'baseline "{baseline}" is no variant{near}')
    return baseline


def _suite_as_skill(outer: SuiteSource, path: Path) -> tuple[Case, ...]:
    """Return the rendered cases of the suite *path*, for the forgetting gate of the suite *outer*.

    Variants and gates of *path* are ignored, so two suites may be skills of each other.
    """
    source = _read_document(replace(outer, path=path))
    declared = read_declared(source)
    if declared is None:
        return ()
    reply, judges = _resolve_reply(source, declared)
    if judges:
        message = "reply.score: a judge cannot score a skill; forgetting is scored by rule"
        source.add_error_at(("reply", "score"), message)
    cases = _read_cases(source, declared, reply)
    line = source.line("prompt")
    prompt = source.find_file(declared.prompt, line, "prompt") if declared.prompt else None
    system = source.read_text(prompt, line, "prompt") if prompt else None
    return render_cases(source, cases, system, declared.user, reply.max_tokens)


def _resolve_reply(
    source: SuiteSource, declared: DeclaredSuite
) -> tuple[ReplyRules, tuple[JudgeDeclaration, ...]]:
    rules = tuple(
        resolve_format(source, rule, partial(_format_line, source, index))
        for index, rule in enumerate(declared.reply.format)
    )
    default = "choice" if choice_labels(rules) else "exact"
    # A score with an error is replaced by one that accepts every case: one error is enough.
    has_error = declared.reply.score is None and ("reply", "score") in source.document.lines
    written = declared.reply.score or Rule("python" if has_error else default)
    line = source.line("reply", "score")
    score = resolve_score(source, written, line)
    judges: tuple[JudgeDeclaration, ...] = ()
    if any(part.kind == "judge" for part in score.parts):
        from pytest_ftgate.suite.judges import extract_judges

        score, judges = extract_judges(source, score)
    if message := synonym_error(score, rules):
        source.add_error(line, f"reply.score: {message}")
    located_rules = [("score", score, line)]
    located_rules += [("format", r, _format_line(source, i, r.kind)) for i, r in enumerate(rules)]
    for key, rule, line in located_rules:
        if message := function_error(rule, source.path.parent):
            source.add_error(line, f"reply.{key}: {message}")
    tokens, thoughts = declared.reply.max_tokens or 1024, _thought_marks(declared.reply)
    return ReplyRules(format=rules, score=score, max_tokens=tokens, thoughts=thoughts), judges


def _thought_marks(declared: DeclaredReply) -> ThoughtMarks | None:
    if isinstance(declared.thoughts, str):
        return (split_marks(declared.thoughts),)
    return () if declared.thoughts is False else None


def _format_line(source: SuiteSource, index: int, *keys: str | int) -> int:
    """Return the line of a format of the suite, or of its *keys*; a single one may be no list."""
    is_list = ("reply", "format", index) in source.document.lines
    return source.line("reply", "format", *((index, *keys) if is_list else keys))


def _emptiness(source: SuiteSource, declared: DeclaredSuite) -> str:
    """Return why there are no cases."""
    if not declared.cases or not isinstance(declared.cases, str):
        return "the list is empty"
    path = source.path.parent / declared.cases
    if path.is_file() and not path.read_bytes().strip():
        return f"{declared.cases} is empty"
    is_table = path.suffix == ".csv" and path.is_file()
    return f"{declared.cases} {'has a header and no row' if is_table else 'holds no case'}"


def _rows_of(
    source: SuiteSource,
    declared: DeclaredSuite,
    path: Path,
    *,
    reply: ReplyRules,
    key: str = "cases",
    part: str = "",
) -> Iterable[Row]:
    line = source.line(key)
    if declared.columns is None and not part and path.suffix == ".csv":
        return read_rows(source, path, line, key)
    from pytest_ftgate.suite.external_cases import case_rows, is_foreign

    if declared.columns is None and not part and not is_foreign(path):
        return read_rows(source, path, line, key)
    return case_rows(source, path, line, declared.columns, reply.score.kind, part)


def _read_cases(
    source: SuiteSource, declared: DeclaredSuite, reply: ReplyRules
) -> tuple[Case, ...]:
    line = source.line("cases")
    rows: Iterable[Row] = ()
    error_count = len(source.errors)
    if isinstance(source.document.value.get("cases"), list):
        rows = rows_at(source.path, source.document, ("cases",))
    elif isinstance(declared.cases, str):
        written, _, part = declared.cases.partition("::")
        paths = source.find_files(written, line, "cases", folders=True)
        rows = chain.from_iterable(
            _rows_of(source, declared, path, reply=reply, part=part) for path in paths
        )
    cases = to_cases(source, rows, reply)
    is_written = declared.cases != _MISSING["cases"]
    if is_written and all(c.holdout for c in cases) and len(source.errors) == error_count:
        problem = "all are holdout; leave some without it"
        source.add_error(line, f"cases: {problem if cases else _emptiness(source, declared)}")
    is_valid = len(source.errors) == error_count
    if is_valid and (message := unused_field_error(reply.score, cases)):
        source.add_error_at(("reply", "score"), f"reply.score: {message}")
    check_template(source, source.line("user"), "user", declared.user, cases)
    return cases
