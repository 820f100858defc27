"""Cases of other tools: OpenAI Evals, deepeval, pydantic-evals, tables and folders of data."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from functools import partial
from keyword import iskeyword
from pathlib import Path
from typing import Any

import yaml

from pytest_ftgate.errors import ConfigurationError, FtgateError
from pytest_ftgate.readers.answer_rows import Columns, answer_in, input_in
from pytest_ftgate.readers.answers import read_answers
from pytest_ftgate.readers.file_limits import read_here
from pytest_ftgate.readers.imported_files import parse_document, read_records, read_text_below
from pytest_ftgate.readers.imported_suite import (
    ImportedModel,
    ImportedSuite,
    expected_of,
    input_keys,
)
from pytest_ftgate.readers.openai_cases import evals_in, read_eval, read_samples
from pytest_ftgate.readers.promptfoo_config import read_promptfoo_config
from pytest_ftgate.readers.text import as_mapping, first_of, mappings_in, text_of, values_checked
from pytest_ftgate.readers.yaml import load_yaml

#: The splits that evaluate a model, the likeliest first.
_SPLITS = ("test", "validation", "valid", "val", "dev", "eval", "train")
_FILES = (".parquet", ".jsonl", ".json", ".csv")
#: What the library writes about the data, beside them.
_ABOUT = ("dataset_dict.json", "dataset_info.json", "state.json")
#: Folders of save_to_disk hold Arrow files alone.
_SAVED = 'of save_to_disk save a split with dataset.to_parquet("test.parquet")'


def _declared(folder: Path) -> dict[str, list[Path]]:
    """Return the files that the card of a repository names: ``configs`` in README.md."""
    splits: dict[str, list[Path]] = {}
    for entry in _card_entries(folder / "README.md"):
        patterns = entry["path"] if isinstance(entry["path"], list) else [entry["path"]]
        names = [path.relative_to(folder).as_posix() for path in _data_files(folder)]
        found = [name for name in names if any(fnmatch(name, str(one)) for one in patterns)]
        if found:
            splits[str(entry["split"])] = [folder / name for name in found]
    return splits


def _card_entries(card: Path) -> list[Mapping[str, Any]]:
    """Return the splits and paths of the default configuration of a card."""
    text = read_text_below(card.parent, card.name) if card.is_file() else ""
    head = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    try:
        keys = load_yaml(head[1]) if head else None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{card}: its head is not YAML: {error}") from error
    configs = as_mapping(keys).get("configs")
    if not isinstance(configs, list) or not configs:
        return []
    try:
        config = next((one for one in configs if one.get("default")), configs[0])
        written = config["data_files"]
        entries = written if isinstance(written, list) else [{"split": "train", "path": written}]
        return [{"split": entry["split"], "path": entry["path"]} for entry in entries]
    except (AttributeError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{card}: configs have no split and path: {error}") from error


def _data_files(folder: Path) -> list[Path]:
    """Return the files of data; of a symbolic link that leads out of *folder* none."""
    paths = (path for path in folder.rglob("*") if path.suffix in _FILES and path.is_file())
    found = sorted(path for path in paths if path.name not in _ABOUT)
    return [path for path in found if path.resolve().is_relative_to(folder.resolve())]


def _named(folder: Path) -> dict[str, list[Path]]:
    """Return the files by the split in their names: test.csv, data/train-00000-of-00001.parquet."""
    splits: dict[str, list[Path]] = {}
    for path in _data_files(folder):
        words = re.split(r"[^a-z]+", path.relative_to(folder).as_posix().lower())
        name = next((split for split in _SPLITS if split in words), "")
        if name or path.suffix != ".json":  # such as the settings of a tokenizer
            splits.setdefault(name or "train", []).append(path)
    return splits


_DOCUMENTS = (".yaml", ".yml", ".json")
_PROGRAMS = (".py", ".ipynb")
_TABLES = (".csv", ".jsonl", ".parquet")
_UNKNOWN = (
    "neither a configuration of promptfoo, an eval of OpenAI Evals, goldens of deepeval, nor a "
    "dataset of pydantic-evals"
)


def read_import(path: Path) -> ImportedSuite:
    """Return what a file of another tool declares, or a folder of Hugging Face datasets.

    ``FILE::NAME`` is one eval of a file of OpenAI Evals.

    Raises:
        ConfigurationError: the file cannot be read, or is of no known tool.
    """
    whole, _, part = str(path).partition("::")
    path = Path(whole)
    read = partial(_read_folder, path) if path.is_dir() else partial(_read_file, path, part)
    suite = read_here(read, str(path), [path])
    if not suite.cases and (tool := _tool_of_answers(path)):
        compare = f"compare it with another: pytest-ftgate compare {path} OTHER"
        raise ConfigurationError(f"{path}: {tool}: these are answers, and no suite; {compare}")
    if not suite.cases:
        none = "its columns are none that are known" if path.is_dir() else "the file has none"
        raise ConfigurationError(f"{path}: no case was found: {'; '.join(suite.notes) or none}")
    return suite


def _read_file(path: Path, part: str) -> ImportedSuite:
    if path.suffix in _PROGRAMS:
        raise ConfigurationError(_program(path))
    if path.suffix not in (*_DOCUMENTS, *_TABLES):
        known = ", ".join((*_DOCUMENTS, *_TABLES))
        raise ConfigurationError(f"{path}: a suite is made from a folder, or from {known}")
    if path.suffix in _TABLES:
        records = read_records(path)
        with values_checked(str(path)):
            return (_read_table if path.suffix == ".parquet" else _read_rows)(path, records)
    document = parse_document(read_text_below(path.parent, path.name), path.name)
    with values_checked(str(path)):
        suite = _read_document(path, document, part)
    return suite or ImportedSuite("", notes=Counter([_UNKNOWN]))


def _program(path: Path) -> str:
    """Return what to do with a program, such as the tests of deepeval."""
    is_deepeval = "deepeval" in read_text_below(path.parent, path.name)
    what = "tests of deepeval are code" if is_deepeval else "a program is code"
    run = f"DEEPEVAL_RESULTS_FOLDER=results deepeval test run {path}" if is_deepeval else "run it"
    compare = "compare the two files that it writes: pytest-ftgate compare BEFORE AFTER"
    return (
        f"{path}: {what}, and no suite to import; before and after a change {run}; then {compare}"
    )


def _tool_of_answers(path: Path) -> str:
    """Return the tool that wrote the answers in *path*; "" if these are none."""
    with suppress(FtgateError):
        return read_answers(path, Columns()).tool
    return ""


def _read_folder(path: Path) -> ImportedSuite:
    """Return the split of a folder that evaluates a model, such as ``test``."""
    splits = _declared(path) or _named(path)
    if not splits:
        kinds = ", ".join(_FILES)
        raise ConfigurationError(f"{path}: a folder without {kinds}; name a file; {_SAVED}")
    split = next((name for name in _SPLITS if name in splits), next(iter(splits)))
    suite = _read_table(path, [row for file in splits[split] for row in read_records(file)])
    suite.tool = "Hugging Face datasets"
    others = [name for name in splits if name != split]
    if others:
        suite.note(f"split {split} was read; also there: {', '.join(others)}")
    return suite


def _read_document(path: Path, document: Any, part: str) -> ImportedSuite | None:
    if isinstance(document, list):
        return _read_rows(path, mappings_in(document))
    if not isinstance(document, Mapping):
        return None
    if isinstance(document.get("goldens"), list):
        return _read_goldens(document["goldens"])
    if isinstance(document.get("cases"), list):
        return _read_pydantic_evals(document)
    if evals_in(document):
        return read_eval(path, document, part)
    if part:
        raise ConfigurationError(f"{path}::{part}: only a file of OpenAI Evals has evals to name")
    return read_promptfoo_config(path, document)


#: Keys that only goldens of deepeval have.
_GOLDEN = {
    *("expected_output", "expectedOutput", "retrieval_context", "expected_tools", "expectedTools"),
    *("tools_called", "toolsCalled", "scenario"),
}


def _read_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> ImportedSuite:
    if any("ideal" in row for row in rows):
        return read_samples(rows)
    if any(_GOLDEN & row.keys() for row in rows):
        return _read_goldens(rows)
    return _read_table(path, rows)


# deepeval ----------------------------------------------------------------------------------------


#: What a golden expects to be called, and what a run of it called.
_EXPECTED_TOOLS = ("expected_tools", "expectedTools")
_CALLED_TOOLS = ("tools_called", "toolsCalled")
_CHATS = (
    "conversational goldens are not read, since deepeval plays the user in them: let deepeval run "
    "them, and compare what it writes into DEEPEVAL_RESULTS_FOLDER"
)


def _read_goldens(rows: Iterable[Mapping[str, Any]]) -> ImportedSuite:
    suite = ImportedSuite("deepeval")
    cases: list[dict[str, Any]] = []
    for row in rows:
        if "scenario" in row or "turns" in row:
            suite.note(_CHATS)
            continue
        context = first_of(row, ("context", "retrieval_context", "retrievalContext"))
        variables = {"context": text_of(context)} if context else {}
        if context:
            suite.note("context is a var: write {{ context }} where the prompt shows it")
        expected = expected_of(first_of(row, ("expected_output", "expectedOutput")))
        name = first_of(row, ("name", "id"))
        case = {"id": name, "input": text_of(row.get("input")), "vars": variables}
        cases.append({**case, **_with_tools(suite, row, expected)})
    suite.add_cases(cases)
    suite.set_usual_score()
    return suite


def _with_tools(suite: ImportedSuite, row: Mapping[str, Any], expected: Any) -> dict[str, Any]:
    """Return what a golden expects: an answer, or else a call; further calls are formats."""
    tools = _tools_of(suite, first_of(row, _EXPECTED_TOOLS))
    if not tools and (tools := _tools_of(suite, first_of(row, _CALLED_TOOLS))):
        suite.note("tools_called, of a run, are the expected tools here; check them")
    names = [{"tool_call": name} for name, _ in tools]
    if not tools or expected is not None:
        return {"expected": expected, "format": names}
    name, arguments = tools[0]
    call = {"name": name, "arguments": arguments} if arguments else name
    return {"expected": call, "score": "tool_call", "format": names[1:]}


def _tools_of(suite: ImportedSuite, written: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return the names and the arguments of the calls of a golden; *suite* gets the tools."""
    listed = written.split(";") if isinstance(written, str) else written
    calls = []
    for tool in listed if isinstance(listed, list) else ():
        keys = tool if isinstance(tool, Mapping) else {"name": tool}
        name = str(keys.get("name") or "").strip()
        given = first_of(keys, ("input_parameters", "inputParameters", "input"))
        arguments = {**as_mapping(given)}
        if not all(one.isidentifier() and not iskeyword(one) for one in (name, *arguments)):
            suite.note(f"the expected tool {name}: a function of Python cannot have such names")
            continue
        kinds = {k: type(value).__name__ for k, value in arguments.items() if value is not None}
        suite.tools[name] = {
            **dict.fromkeys(arguments, "str"),
            **suite.tools.get(name, {}),
            **kinds,
        }
        calls.append((name, arguments))
    return calls


# pydantic-evals ----------------------------------------------------------------------------------


def _read_pydantic_evals(document: Mapping[str, Any]) -> ImportedSuite:
    suite = ImportedSuite("pydantic-evals")
    for evaluator in document.get("evaluators") or ():
        _read_evaluator(suite, evaluator, {})
    cases: list[dict[str, Any]] = []
    for row in document["cases"]:
        if isinstance(row, Mapping):
            case = {"id": row.get("name"), **input_keys(row.get("inputs"))}
            case["expected"] = expected_of(row.get("expected_output"))
            case["tags"] = _text_values(row.get("metadata"))
            for evaluator in row.get("evaluators") or ():
                _read_evaluator(suite, evaluator, case)
            cases.append(case)
    suite.add_cases(cases)
    if not suite.rubric:
        suite.set_usual_score()
    elif suite.score:
        suite.note("EqualsExpected beside LLMJudge: the judge alone scores")
    return suite


def _read_evaluator(suite: ImportedSuite, written: Any, case: dict[str, Any]) -> None:
    """Carry over one evaluator, of the dataset or (with keys in *case*) of a case."""
    named = dict(written) if isinstance(written, Mapping) else {written: None}
    name, value = next(iter(named.items()), ("", None))
    keys = value if isinstance(value, Mapping) else {"value": value, "rubric": value}
    text = text_of(keys.get("value"))
    if name == "EqualsExpected":
        suite.score = suite.score or "exact"
    elif name == "Equals" and case and text:
        case |= {"expected": expected_of(keys.get("value")), "score": "exact"}
    elif name == "Contains" and case and text:
        case.setdefault("format", []).append({"contains": [text]})
    elif name == "Contains" and text:
        rule = {"contains": [text]}
        suite.note(f"evaluator Contains of all cases: add it to reply.format: {rule}")
    elif name == "LLMJudge" and not case and isinstance(keys.get("rubric"), str):
        suite.rubric = str(keys["rubric"])
        model = str(keys.get("model") or "")
        suite.judge = ImportedModel(model, model) if model else None
    elif name == "MaxDuration":
        seconds = keys.get("seconds", keys.get("value"))
        if isinstance(seconds, int | float):
            suite.limits["latency"] = {"max_p95_ms": seconds * 1_000}
    elif name != "IsInstance":
        suite.note(f"evaluator {name}{' of a case' if case else ''}")


# Tables ------------------------------------------------------------------------------------------

#: Columns of LangSmith are called ``inputs.question``, ``input_question`` or ``inputs``.
_INPUT = re.compile(r"inputs?[._](\w+)|inputs?")
_OUTPUT = re.compile(r"(?:reference_)?outputs?[._](\w+)|(?:reference_)?outputs?|expected")
_METADATA = ("metadata", "tags", "split", "splits")


def _read_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> ImportedSuite:
    suite = ImportedSuite(f"a table ({path.suffix.removeprefix('.')})")
    unread = {key for row in rows for key in row} - {"id", "example_id", *_METADATA}
    cases: list[dict[str, Any]] = []
    for row in rows:
        inputs, used = _columns(row, _INPUT)
        outputs, used_too = _columns(row, _OUTPUT)
        unread -= {*used, *used_too}
        given = input_keys(inputs) if inputs is not None else {"input": input_in(row)}
        expected = outputs if outputs is not None else answer_in(row)
        given["expected"] = expected_of(expected)
        if choice := _multiple_choice(row, _options(row)):
            unread -= {*_OPTIONS, *_QUESTION, *_KEY}
            given = choice
        case = {"id": first_of(row, ("id", "example_id")), **given}
        case["tags"] = [tag for key in _METADATA for tag in _text_values(row.get(key))]
        cases.append(case)
    if unread and any(_INPUT.fullmatch(key) for row in rows for key in row):
        suite.note(f"columns {', '.join(sorted(unread))}")
    suite.add_cases(cases)
    if cases and all("format" in case for case in cases):
        suite.score = "choice"
    suite.set_usual_score()
    return suite


#: Columns of data sets with several answers to choose from: these, the question, the right one.
_OPTIONS, _QUESTION = ("choices", "options", "endings"), ("question", "ctx", "query", "input")
_KEY = ("answer", "answerKey", "answer_key", "label", "target", "gold")


def _options(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the answers to choose from by their letters; none for another row."""
    written: Any = first_of(row, _OPTIONS)
    letters: Sequence[Any] = string.ascii_uppercase
    if isinstance(written, Mapping):  # as ARC and CommonsenseQA have them
        written, letters = written.get("text"), written.get("label") or letters
    if not isinstance(written, list) or not all(isinstance(one, str) for one in written):
        return {}
    return dict(zip(map(str, letters), written, strict=False)) if len(written) > 1 else {}


def _multiple_choice(row: Mapping[str, Any], options: Mapping[str, str]) -> dict[str, Any]:
    """Return the keys of a case that asks for the letter of one of *options*; none for others."""
    right, letters = text_of(first_of(row, _KEY)) or "", [*options]
    if right.isdecimal() and right not in options and int(right) < len(letters):
        right = letters[int(right)]
    by_text = {text: letter for letter, text in options.items()}
    expected = right if right in options else by_text.get(right)
    question = text_of(first_of(row, _QUESTION))
    if not expected or not question:
        return {}
    listed = "".join(f"\n{letter}) {text}" for letter, text in options.items())
    asked = f"Answer with the letter of the correct answer.\n\n{question}{listed}"
    return {"input": asked, "expected": expected, "format": {"choice": letters}}


def _columns(row: Mapping[str, Any], pattern: re.Pattern[str]) -> tuple[Any, list[str]]:
    """Return the value of the columns that match *pattern*, and their names."""
    names = {name: match[1] for name in row if (match := pattern.fullmatch(name))}
    parts = {part: row[name] for name, part in names.items() if part}
    first = next((row[name] for name in names), None)
    return parts or first, [*names]


def _text_values(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.replace(",", " ").split()
    values = value.values() if isinstance(value, Mapping) else value
    is_read = isinstance(value, Mapping | list)
    return [text for text in values if isinstance(text, str) and text] if is_read else []
