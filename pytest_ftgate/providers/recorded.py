"""Recorded replies, from a file that any tool may write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from sys import intern
from typing import IO, TYPE_CHECKING, Any, Self

from pytest_ftgate.errors import ConfigurationError, FtgateError, RequestRejected
from pytest_ftgate.readers.text import replace_lone_surrogates
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request
from pytest_ftgate.suite.model import Case

if TYPE_CHECKING:
    from pytest_ftgate.readers.agent_runs import RunFacts
    from pytest_ftgate.readers.answer_rows import AnswerRow

    #: The rows of a file of another tool by case.
    _Answers = Mapping[str, tuple[AnswerRow, ...]]

#: A reply of at most this many characters is probably a label.
_LABEL_LENGTH = 64
#: The reply itself if it is short, else the offset of its line in the file.
_ReplyOrOffset = Reply | int
#: The other keys of a line that a reply takes over.
_DETAILS = ("stop", "model", "usage", "seconds", "thought", "score", "run")
#: The tokens of a reply that have a price.
_USAGE = ("input", "output", "cache_read", "cache_write")
#: The replies of a file, by case id: one for most cases, and a list of several.
_Index = dict[str, _ReplyOrOffset | list[_ReplyOrOffset]]


def _read_index(path: Path) -> _Index:
    index: _Index = {}
    # Labels occur many times, so equal ones share one object.
    labels: dict[str, Reply] = {}
    start = 0
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                case_id, text, details = _parse_row(f"{path.name}:{number}", line)
                entry: _ReplyOrOffset = start
                if not details and text is not None and len(text) <= _LABEL_LENGTH:
                    entry = labels.setdefault(text, Reply(text=text))
                if text is not None and (others := _replies_of(index, case_id)):
                    others.append(entry)
                    index[case_id] = others
                elif text is not None:
                    index[case_id] = entry
            start += len(line)
    return index


def _replies_of(index: _Index, case_id: str) -> list[_ReplyOrOffset]:
    """Return all replies to a case."""
    found = index.get(case_id, [])
    return found if isinstance(found, list) else [found]


def _parse_row(location: str, line: bytes) -> tuple[str, str | None, dict[str, Any]]:
    """Return the case id, the text and the other fields of a recorded reply.

    The text is None if the request got no reply: tools write null beside the error of a provider.
    """
    shape = '{"id": "case-1", "text": "the reply"}'
    try:
        raw = json.loads(line, parse_constant=_no_number)
        details = {key: raw[key] for key in _DETAILS if key in raw}
        if "score" in details:
            from pytest_ftgate.readers.answer_rows import score_of

            details["score"] = score_of(details["score"], location)
        if "run" in details:
            details["run"] = _run_facts(details["run"], location)
        text = raw["text"]
        # A format may be read as JSON, which the text of a Python value is not.
        text = text if isinstance(text, str | None) else json.dumps(text, ensure_ascii=False)
        _check_usage(details.get("usage", {}), location)
        # Tokens that a tool did not count would cost nothing.
        if not details.get("usage", {}).keys() >= {"input", "output"}:
            details.pop("usage", None)
        # The id is that of a case, whose lone surrogates are replaced too.
        return intern(replace_lone_surrogates(str(raw["id"]))), text, details
    except (ValueError, RecursionError) as error:
        problem = "nested too deeply" if isinstance(error, RecursionError) else error
        raise ConfigurationError(f"{location}: not JSON: {problem}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{location}: a recorded reply is {shape}{_keys(raw)}") from error


def _run_facts(value: Any, location: str) -> RunFacts:
    """Return what a line says of the run of an agent."""
    from pytest_ftgate.readers.agent_runs import RunFacts

    if not isinstance(value, Mapping):
        shape = '{"cost_usd": 0.12, "seconds": 60}'
        raise ConfigurationError(f"{location}: run: {value!r} is no object such as {shape}")
    try:
        return RunFacts.from_plain(value)
    except ValueError as error:
        raise ConfigurationError(f"{location}: {error}") from error


def _no_number(constant: str) -> None:
    """Raise a ValueError for NaN and Infinity, which Python's reader of JSON accepts."""
    raise ValueError(f"{constant} is no number; write null where there is no score")


def _check_usage(usage: Any, location: str) -> None:
    """Check the tokens of a reply: a price of counts that are wrong would be wrong."""
    counts = usage.items() if isinstance(usage, Mapping) else [("usage", usage)]
    for key, value in counts:
        if key not in _USAGE or not (type(value) is int and value >= 0):
            raise ConfigurationError(
                f"{location}: usage: {key}: {value!r} is no number of tokens; write "
                f"{{{', '.join(f'{json.dumps(one)}: 12' for one in _USAGE[:2])}}}, or leave it out"
            )


def _keys(raw: Any) -> str:
    """Return what a line has instead, and how a suite can read it."""
    if not isinstance(raw, Mapping):
        return ""
    from pytest_ftgate.readers.answer_rows import guess_columns

    known = guess_columns([*raw], ("id", "input", "reply"))
    columns = ", ".join(f"{key}: {name}" for key, name in known.items() if key != name)
    remedy = f": write columns: {{{columns}}} in the suite" if columns else ""
    return f"; this line has {', '.join(map(str, raw))}{remedy}"


def _table(path: Path, options: Mapping[str, Any]) -> _Answers | FtgateError | None:
    """Return what a file of another tool holds, or its error: each request would read it again."""
    from pytest_ftgate.suite.external_cases import recorded_answers

    try:
        return recorded_answers(path, options)
    except FtgateError as error:
        return error


def _answer(path: Path, answers: _Answers, case: Case, repeat: int) -> Reply:
    """Return the reply to *case* in a file that another tool wrote."""
    from pytest_ftgate.suite.external_cases import missing_runs, rows_of_case

    rows = rows_of_case(answers, case)
    if repeat >= len(rows):
        missing = missing_runs(answers, case)
        why = f"; {', '.join(missing)}" if missing else ""
        raise RequestRejected(f'{path.name} has no reply for case "{case.id}"{why}')
    row = rows[repeat]
    return Reply(text=row.reply or "", score=row.score, run=row.run)


class RecordedReplies:
    """Answers requests from their files, and reads each file only once.

    It forgets a file after the last of its replies, since large files need much memory. A context
    manager, which may be entered several times; no file is open between them.
    """

    def __init__(self) -> None:
        self._files: dict[Path, _Index | ConfigurationError] = {}
        #: What is in the files of other tools, by the options that name it, or why that cannot be
        #: read; None for lines of recorded replies.
        self._tables: dict[tuple[Path, str], _Answers | FtgateError | None] = {}
        #: The number of replies of each file that were not given yet.
        self._left: dict[Path, int] = {}
        #: The last file that was read: all of them could exceed the limit of open files.
        self._open: tuple[Path, IO[bytes]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._open:
            self._open[1].close()
            self._open = None

    def reply_or_error(self, request: Request) -> Reply | FtgateError:
        """Return the reply to *request*, or the error if there is none."""
        try:
            return self.reply(request)
        except FtgateError as error:
            return error

    def reply(self, request: Request) -> Reply:
        """Return the recorded reply to the case and repeat of *request*.

        Raises:
            RequestRejected: the file has no reply for the case and repeat.
            ConfigurationError: the file, or a line of it, cannot be read.
        """
        path, case = request.replies, request.case
        if path is None or case is None:
            raise RequestRejected("a recorded request needs a file of replies")
        key = (path, json.dumps(request.options, sort_keys=True))
        if key not in self._tables:
            self._tables[key] = _table(path, request.options)
        answers = self._tables[key]
        if isinstance(answers, FtgateError):
            raise answers
        if answers is not None:
            return _answer(path, answers, case, request.repeat)
        try:
            index = self._index(path)
            replies = _replies_of(index, case.id)
            if request.repeat >= len(replies):
                message = f'{path.name} has no reply for case "{case.id}"'
                others = f"; it has {', '.join([*index][:3])}, …" if index and not replies else ""
                raise RequestRejected(message + others)
            entry = replies[request.repeat]
            self._left[path] -= 1
            if not self._left[path]:
                del self._files[path]
            return entry if isinstance(entry, Reply) else self._read_at(path, entry, case.id)
        except OSError as error:
            raise ConfigurationError(f"the recorded replies cannot be read: {error}") from error

    def _index(self, path: Path) -> _Index:
        found = self._files.get(path)
        if isinstance(found, ConfigurationError):
            raise found
        if found is None:
            found = self._files[path] = self._read(path)
            self._left[path] = sum(len(_replies_of(found, case_id)) for case_id in found)
        return found

    def _read(self, path: Path) -> _Index:
        try:
            return _read_index(path)
        except ConfigurationError as error:
            # Otherwise each request would read the file up to the broken line.
            self._files[path] = error
            raise

    def _read_at(self, path: Path, start: int, case_id: str) -> Reply:
        if self._open is None or self._open[0] != path:
            self.__exit__()
            self._open = (path, path.open("rb"))
        stream, changed = self._open[1], f"{path.name} has changed since it was read"
        stream.seek(start)
        found_id, text, details = _parse_row(changed, stream.readline())
        if found_id != case_id:
            raise ConfigurationError(f"{changed}; run again")
        return Reply(text=text or "", **details)
