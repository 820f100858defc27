"""Cases of other tools: OpenAI Evals, deepeval, pydantic-evals, tables and folders of data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.answer_rows import answer_in, first_of, input_in, text_of
from pytest_ftgate.readers.file_limits import read_here
from pytest_ftgate.readers.imported_suite import (
    AGREES,
    ImportedModel,
    ImportedSuite,
    expected_of,
    input_keys,
    parse_document,
    read_records,
    read_text_below,
)
from pytest_ftgate.readers.promptfoo_config import read_promptfoo_config
from pytest_ftgate.readers.text import values_checked
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
    configs = keys.get("configs") if isinstance(keys, Mapping) else None
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
_TABLES = (".csv", ".jsonl", ".parquet")
_UNKNOWN = (
    "neither a configuration of promptfoo, an eval of OpenAI Evals, goldens of deepeval, nor a "
    "dataset of pydantic-evals"
)


def read_import(path: Path) -> ImportedSuite:
    """Return what a file of another tool declares, or a folder of Hugging Face datasets.

    Raises:
        ConfigurationError: the file cannot be read, or is of no known tool.
    """
    read = _read_folder if path.is_dir() else _read_file
    suite = read_here(partial(read, path), str(path), [path])
    if not suite.cases:
        none = "its columns are none that are known" if path.is_dir() else "the file has none"
        raise ConfigurationError(f"{path}: no case was found: {'; '.join(suite.notes) or none}")
    return suite


def _read_file(path: Path) -> ImportedSuite:
    if path.suffix not in (*_DOCUMENTS, *_TABLES):
        known = ", ".join((*_DOCUMENTS, *_TABLES))
        raise ConfigurationError(f"{path}: a suite is made from a folder, or from {known}")
    if path.suffix in _TABLES:
        records = read_records(path)
        with values_checked(str(path)):
            return (_read_table if path.suffix == ".parquet" else _read_rows)(path, records)
    document = parse_document(read_text_below(path.parent, path.name), path.name)
    with values_checked(str(path)):
        suite = _read_document(path, document)
    if suite is None:
        none = "no case was found: " * (path.suffix == ".json")
        raise ConfigurationError(f"{path}: {none}{_UNKNOWN}")
    return suite


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


def _read_document(path: Path, document: Any) -> ImportedSuite | None:
    if isinstance(document, list):
        return _read_rows(path, [row for row in document if isinstance(row, Mapping)])
    if not isinstance(document, Mapping):
        return None
    if isinstance(document.get("goldens"), list):
        return _read_goldens(document["goldens"])
    if isinstance(document.get("cases"), list):
        return _read_pydantic_evals(document)
    specs = [spec for spec in document.values() if isinstance(spec, Mapping)]
    evals = [spec for spec in specs if str(spec.get("class", "")).startswith("evals.")]
    return _read_openai_eval(path, evals) if evals else read_promptfoo_config(path, document)


def _read_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> ImportedSuite:
    if any("ideal" in row for row in rows):
        return _read_samples(rows, "")
    if any({"expected_output", "expectedOutput", "retrieval_context"} & row.keys() for row in rows):
        return _read_goldens(rows)
    return _read_table(path, rows)


# OpenAI Evals ------------------------------------------------------------------------------------


def _read_openai_eval(path: Path, specs: Sequence[Mapping[str, Any]]) -> ImportedSuite:
    """Return the first eval of a file of the registry, with its samples."""
    spec, arguments = specs[0], specs[0].get("args") or {}
    written = str(arguments.get("samples_jsonl") or "")
    # The samples lie beside the file, or in the registry's folder of data.
    folders = (path.parent, path.parent.parent / "data", path.parent / "data")
    found = next((one / written for one in folders if written and (one / written).is_file()), None)
    if found is None:
        raise ConfigurationError(f'{path}: samples_jsonl "{written}" is not there; put it beside')
    suite = _read_samples(read_records(found), str(spec["class"]).rpartition(":")[2])
    if len(specs) > 1:
        suite.note(f"{len(specs) - 1} further evals of the file")
    for key in arguments:
        if key not in ("samples_jsonl", "eval_type"):
            suite.note(f"the argument {key} of the eval")
    return suite


def _read_samples(rows: Sequence[Mapping[str, Any]], kind: str) -> ImportedSuite:
    suite = ImportedSuite("OpenAI Evals")
    scores = {
        **dict.fromkeys(("", "Includes", "FuzzyMatch"), "contains"),
        "Match": "regex",
        "JsonMatch": "fields",
    }
    suite.score = scores.get(kind)
    if kind not in scores:
        suite.rubric = AGREES
        suite.note(f"class {kind}: a judge grades by the ideal answer")
    if kind == "FuzzyMatch":
        suite.note("FuzzyMatch also takes a reply that is a part of the answer")
    suite.add_cases(_sample(row, kind) for row in rows)
    return suite


def _sample(row: Mapping[str, Any], kind: str) -> dict[str, Any]:
    ideal = row.get("ideal")
    expected = expected_of(ideal)
    if kind == "Match" and expected is not None:
        texts = expected if isinstance(expected, list) else [expected]
        expected = ["^" + re.escape(str(text)) for text in texts]
    if kind == "JsonMatch" and isinstance(ideal, str):
        try:
            expected = parse_document(ideal, "ideal.json")
        except ConfigurationError:
            expected = None
    return {"id": row.get("id"), **input_keys(row.get("input")), "expected": expected}


# deepeval ----------------------------------------------------------------------------------------


def _read_goldens(rows: Iterable[Mapping[str, Any]]) -> ImportedSuite:
    suite = ImportedSuite("deepeval")
    cases: list[dict[str, Any]] = []
    for row in rows:
        if "scenario" in row or "turns" in row:
            suite.note("a conversational golden")
            continue
        context = first_of(row, ("context", "retrieval_context", "retrievalContext"))
        variables = {"context": text_of(context)} if context else {}
        if context:
            suite.note("context is a var: write {{ context }} where the prompt shows it")
        if first_of(row, ("tools_called", "expected_tools", "expectedTools")):
            suite.note("tools of a golden")
        expected = first_of(row, ("expected_output", "expectedOutput"))
        name = first_of(row, ("name", "id"))
        given = {"input": text_of(row.get("input")), "vars": variables}
        cases.append({"id": name, **given, "expected": expected_of(expected)})
    suite.add_cases(cases)
    suite.set_usual_score()
    return suite


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
        case = {"id": first_of(row, ("id", "example_id")), **given}
        case["expected"] = expected_of(expected)
        case["tags"] = [tag for key in _METADATA for tag in _text_values(row.get(key))]
        cases.append(case)
    if unread and any(_INPUT.fullmatch(key) for row in rows for key in row):
        suite.note(f"columns {', '.join(sorted(unread))}")
    suite.add_cases(cases)
    suite.set_usual_score()
    return suite


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
