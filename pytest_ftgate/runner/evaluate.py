"""Evaluate the gates of a suite from Python, without pytest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import Any, cast
from uuid import uuid4

from pytest_ftgate.errors import ConfigurationError, FtgateError, did_you_mean
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.providers.base import Provider, ProviderFactory
from pytest_ftgate.recommend.advice import Advice
from pytest_ftgate.results.builder import build_report, run_facts
from pytest_ftgate.results.run import NotEvaluated, Report, node_id
from pytest_ftgate.runner.evaluate_gate import GateResult, evaluate_gate, measure_ungated
from pytest_ftgate.runner.planner import GateRun, gate_runs_of
from pytest_ftgate.runner.plugins import (
    Owners,
    load_plugins,
    order_requests,
    plugin_contributions,
    report_to_plugins,
)
from pytest_ftgate.runner.provenance import file_changes
from pytest_ftgate.runner.recommend import suite_advice
from pytest_ftgate.runner.record import RunResult, collect_suite_runs, run_part
from pytest_ftgate.runner.session import Session
from pytest_ftgate.runner.suite import check_feasibility, prepare_suite
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.settings import Override, Settings
from pytest_ftgate.suite.loader import Transform, load_suite
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.providers import PROVIDERS

#: A file or folder that stands at the top of a project.
_ROOT_MARKS = ("pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg", "setup.py", ".git")

#: What answers requests: a class, a function that opens a provider, or a provider.
Providers = Mapping[str, type[Provider] | ProviderFactory | Provider]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateResult(RunResult):
    """The run of a suite's gates. ``str()`` of it is the closing section of a run of pytest.

    Attributes:
        report: the run record, as ``compare`` has it.
        scores: by variant, the scores on the suite's cases. ``scores["tuned"].correct`` and
            ``.valid`` are arrays in the order of ``.cases``.
        skill_scores: the same on the cases of general skills, those of a base as
            ``base of VARIANT``.
        suite: the suite as it was evaluated.
    """

    scores: Mapping[str, VariantScores]
    skill_scores: Mapping[str, VariantScores]
    suite: Suite

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdict of each gate; those of variants that are only measured are in *report*."""
        return self.report.gated_verdicts

    @property
    def not_evaluated(self) -> tuple[NotEvaluated, ...]:
        """The gates without a verdict, each with the reason."""
        return self.report.not_evaluated

    @property
    def passed(self) -> bool:
        """True if every gate was evaluated, and passed."""
        return self.report.verdict == "passed"

    @property
    def advice(self) -> Advice | None:
        """The advice on a suite with a ladder, else None."""
        return next(iter(self.report.advice), None)

    def verdict(self, gate: str, variant: str) -> Verdict:
        """Return the verdict of *gate* on *variant*.

        Raises:
            ConfigurationError: there is none; the message says why.
        """
        for verdict in self.report.gate_verdicts:
            if (verdict.gate, verdict.variant) == (gate, variant):
                return verdict
        name = f"{gate}[{variant}]"
        reasons = [row.reason for row in self.not_evaluated if row.node.endswith(f"::{name}")]
        known = ", ".join(f"{v.gate}[{v.variant}]" for v in self.verdicts) or "none"
        reason = reasons[0] if reasons else f"the gates with a verdict are {known}"
        raise ConfigurationError(f"{name} was not evaluated: {reason}")

    def figures(self) -> dict[str, float]:
        """Return figures by name, for a tracker: ``mlflow.log_metrics(run.figures())``.

        ``ftgate/passed`` is 1 or 0, ``ftgate/GATE/VARIANT/`` has ``before``, ``after``, ``change``
        with its 95 % interval ``low`` and ``high``, and ``outcome``: 1, 0 or −1.
        """
        from pytest_ftgate.reporting.trackers import tracked_figures

        return tracked_figures(self.report)

    def lines(self, verbosity: int = 0) -> list[str]:
        """Return the lines of the closing section; *verbosity* 1 shows more."""
        from pytest_ftgate.reporting.summary import detail_lines, summary_lines
        from pytest_ftgate.reporting.text import escape_controls

        errors = [
            f"not evaluated: {escape_controls(f'{row.node}: {row.reason}')}"
            for row in self.not_evaluated
        ]
        details = detail_lines(self.report, verbosity, full_ladder=False)
        return [*details, *summary_lines(self.report, verbosity), *errors]


def evaluate(
    suite: str | Path,
    *,
    providers: Providers | None = None,
    variants: Sequence[str] | None = None,
    replies: str = "auto",
    rootdir: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> EvaluateResult:
    """Evaluate the gates of *suite*, as ``pytest --ftgate`` does, and return the run.

    The verdicts, the requests and the cache are those of pytest; its configuration is not read.
    Installed plugins take part if their distribution requires pytest-ftgate.

    Args:
        suite: the path of a ``*.ftgate.yaml`` file.
        providers: providers by the name that the suite writes. Each is a class derived from
            ``pytest_ftgate.Provider``, or an object of one, such as a model in memory.
        variants: the names of the variants to evaluate; by default all.
        replies: ``auto`` uses the cache and sends the other requests, ``fresh`` sends all
            requests, ``recorded`` sends none.
        rootdir: the top of the project. The ``conftest.py`` files from there down to the suite
            are imported. By default none are, and the top is the nearest folder with a
            ``pyproject.toml``, a configuration of pytest's, or ``.git``.
        overrides: keys of variants that are set for this run, such as
            ``{"variants.tuned.adapter": path}``, as ``--ftgate-set`` does: relative paths begin at
            the working folder.

    Raises:
        SuiteError: the suite has errors; the message has all of them, each with its line.
        ConfigurationError: an argument cannot be used. What concerns single gates only, such as a
            missing key, is in ``not_evaluated``.
        EngineError: an unexpected exception ended the run, which has no result.
    """
    path = Path(suite).absolute()
    if not path.is_file():
        raise ConfigurationError(f"{suite} is no file; name a *.ftgate.yaml file")
    project = Project.of_suite(path, rootdir)
    settings = Settings.of_evaluation(
        project.root, replies=replies, variants=variants or (), overrides=overrides
    )
    with project.open_session(settings, providers or {}) as (session, load):
        loaded = load(None)
        check_feasibility(loaded)
        return evaluate_loaded(session, project, loaded, is_whole=not variants)


@dataclass(frozen=True, slots=True)
class Project:
    """The place of one suite, and the plugins that take part.

    Attributes:
        path: the suite file.
        root: the top of the project.
        hooks: the hooks of the plugins.
    """

    path: Path
    root: Path
    hooks: Any

    @classmethod
    def of_suite(cls, path: Path, rootdir: str | Path | None) -> Project:
        """Return the project of the suite *path*; *rootdir* is as for `evaluate`.

        Raises:
            ConfigurationError: the suite is not below *rootdir*, or a plugin breaks.
        """
        if rootdir is None:
            return cls(path, _find_root(path), load_plugins(()))
        root = Path(rootdir).absolute()
        if not path.is_relative_to(root):
            raise ConfigurationError(f"{path} is not below rootdir, {root}")
        folders = [folder for folder in path.parents if folder.is_relative_to(root)]
        conftests = [folder / "conftest.py" for folder in reversed(folders)]
        return cls(path, root, load_plugins(file for file in conftests if file.is_file()))

    @contextmanager
    def open_session(
        self, settings: Settings, providers: Providers
    ) -> Iterator[tuple[Session, Any]]:
        """Yield a session, and the function that loads the suite for it.

        The function takes a change of the suite's content, or None.
        """
        factories = {name: _factory(name, provider) for name, provider in providers.items()}
        order = partial(order_requests, self.hooks, self.root, None)
        session = Session(settings, uuid4().hex, factories, order)

        def load(transform: Transform | None) -> Suite:
            owners: Owners = {}
            contributions, found = plugin_contributions(self.hooks, self.root, self.path, owners)
            for name in found.keys() & factories.keys():
                plugin = owners["providers", name]
                raise ConfigurationError(f'provider "{name}" is offered by {plugin} as well')
            factories.update(found)
            contributions = replace(contributions, providers=tuple(factories))
            given, safe = settings.overrides, settings.safe
            place = self.path, self.root, contributions, transform
            suite = load_suite(*place, safe=safe, overrides=given)
            _check_overrides(given, suite)
            prepared = prepare_suite(session, suite)
            # A test may have patched what functions use, so it has their replies for itself.
            test = os.environ.get("PYTEST_CURRENT_TEST")
            return prepared.for_test(test, reads_cache=False) if test else prepared

        try:
            yield session, load
        finally:
            session.close()


def _check_overrides(overrides: Sequence[Override], suite: Suite) -> None:
    """Raise a ConfigurationError if *suite* lacks a variant of *overrides*."""
    if not overrides:
        return
    from pytest_ftgate.suite.overrides import unknown_override

    names = [*dict.fromkeys(one.declared_name for one in suite.variants.values())]
    if error := unknown_override(overrides, names):
        raise ConfigurationError(error)


def _find_root(path: Path) -> Path:
    marked = (
        folder for folder in path.parents if any((folder / name).exists() for name in _ROOT_MARKS)
    )
    return next(marked, path.parent)


class _LentProvider:
    """A provider that its owner closes."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    async def close(self) -> None:
        """Leave the provider open."""


def _factory(name: str, provider: type[Provider] | ProviderFactory | Provider) -> ProviderFactory:
    if name in PROVIDERS:
        raise ConfigurationError(
            f'provider "{name}" comes with the package; give yours another name'
        )
    # An object of a provider may be callable too, such as a model.
    if isinstance(provider, type) or not hasattr(provider, "generate"):
        if not callable(provider):
            kind = type(provider).__name__
            raise ConfigurationError(
                f'provider "{name}" is a {kind}; give a class derived from pytest_ftgate.Provider, '
                "or an object of one"
            )
        return provider
    lent = _LentProvider(cast("Provider", provider))
    return lambda _requests, _environ: cast("Provider", lent)


# The run -----------------------------------------------------------------------------------------


def evaluate_loaded(
    session: Session, project: Project, suite: Suite, *, is_whole: bool
) -> EvaluateResult:
    """Return the run of the gates of *suite*, and close the session.

    *is_whole* measures the variants without gates too, and makes the advice.

    Raises:
        ConfigurationError: the settings name an unknown variant.
        EngineError: an unexpected exception ended the run.
    """
    run = _Run(session, project, suite)
    with session.replies.internal_errors():
        gate_runs = _chosen_gates(suite, session.settings.variants)
        run.evaluate_gates(gate_runs)
        if is_whole:
            run.measure_and_advise()
        scores, skill_scores = _scores_by_variant(session, suite)
        session.close()
        report = run.report(gate_runs)
    late = run.tell("report", report=report)
    report = replace(report, notes=(*report.notes, *late))
    return EvaluateResult(report=report, scores=scores, skill_scores=skill_scores, suite=suite)


class _Run:
    """What comes of the gates of one suite."""

    def __init__(self, session: Session, project: Project, suite: Suite) -> None:
        self.session, self.project, self.suite = session, project, suite
        self.tell = partial(report_to_plugins, project.hooks, project.root, config=None)
        self.started = monotonic()
        #: By variant and gate.
        self.results: dict[tuple[str, str], GateResult] = {}
        self.errors: list[NotEvaluated] = []
        self.messages: list[str] = []
        self.measured: list[Verdict] = []
        self.advice: tuple[Advice, ...] = ()

    def evaluate_gates(self, gate_runs: Sequence[GateRun]) -> None:
        for gate_run in gate_runs:
            together = [] if self.session.is_submitted(gate_run) else gate_runs
            try:
                result = evaluate_gate(self.session, gate_run, submit_with=together)
            except FtgateError as error:
                name = f"{gate_run.suite.name}::{gate_run.name}[{gate_run.variant.name}]"
                variant = gate_run.variant.name
                self.errors.append(NotEvaluated(node=name, reason=str(error), variant=variant))
                continue
            self.results[gate_run.variant.name, gate_run.gate.kind] = result
            node = node_id(result.verdict)
            self.messages += self.tell("verdict", verdict=result.verdict, nodeid=node)

    def measure_and_advise(self) -> None:
        self.measured += measure_ungated(self.session, self.suite, self.results)
        if not self.suite.asks_for_advice:
            return
        try:
            advice = suite_advice(self.session, self.suite, self.results, self.measured)
        except FtgateError as error:
            self.messages.append(f"no advice: {error}")
        else:
            self.advice = (advice,) if advice else ()

    def report(self, gate_runs: Sequence[GateRun]) -> Report:
        session, settings = self.session, self.session.settings
        skipped = session.count_saved_requests(gate_runs)
        part = run_part(session, collect_suite_runs(session), skipped)
        return build_report(
            settings,
            [part],
            (*(result.verdict for result in self.results.values()), *self.measured),
            notes=self.messages,
            facts=run_facts(settings, [part], monotonic() - self.started),
            not_evaluated=tuple(self.errors),
            advice=self.advice,
            file_changes=file_changes(settings, part.files, os.environ),
        )


def _chosen_gates(suite: Suite, names: Sequence[str]) -> list[GateRun]:
    variants = [variant for variant in suite.variants.values() if variant.gated]
    gated = [*dict.fromkeys(name for one in variants for name in (one.name, one.declared_name))]
    for name in names:
        if name not in gated:
            reason = "is not gated" if name in suite.variants else "is not in the suite"
            raise ConfigurationError(f'variant "{name}" {reason}{did_you_mean(name, gated)}')
    chosen = {*(names or gated)}
    return [run for run in gate_runs_of(suite) if not chosen.isdisjoint(run.names)]


def _scores_by_variant(
    session: Session, suite: Suite
) -> tuple[dict[str, VariantScores], dict[str, VariantScores]]:
    """Return the scores of the suite's cases and of skills: of several looks, the largest."""
    sets: dict[str, dict[str, VariantScores]] = {"task": {}, "skills": {}}
    own = (pairs for found, pairs in session.scores.by_suite() if found.name == suite.name)
    for case_set, scores in chain.from_iterable(own):
        known = sets.setdefault(case_set, {}).get(scores.variant)
        if known is None or len(scores.results) >= len(known.results):
            sets[case_set][scores.variant] = scores
    return sets["task"], sets["skills"]
