"""The GitHub workflow that ``pytest-ftgate init --workflow`` writes for a suite."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pytest_ftgate.cli.project import git_root, write_new
from pytest_ftgate.errors import ConfigurationError, FtgateError
from pytest_ftgate.plugin.config import with_suite
from pytest_ftgate.requests.keys import is_loopback
from pytest_ftgate.runner.preview import estimate_variants
from pytest_ftgate.runner.session import Session
from pytest_ftgate.runner.workloads import GateRun
from pytest_ftgate.settings import short_path
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.providers import weights_extra

_PACKAGE = Path(__file__).parents[1]
#: The workflows: in the wheel, or in a checkout.
_FOLDERS = (_PACKAGE / "workflows", _PACKAGE.parent / "examples" / "workflows")
_NAME = "pull-request.yml"
#: The variable in the example, with the comment above it.
_ENV = """\
        env:
          # A pull request from a fork gets no key, and is evaluated by recorded replies.
          ANTHROPIC_API_KEY: ${{ secrets.ANTHROPIC_API_KEY }}
"""


@dataclass(frozen=True, slots=True)
class _Needs:
    """What the variants of a suite need in a job.

    Attributes:
        keys: the variables of keys.
        addresses: the variables of base URLs.
        extras: the extras of the package.
        unreachable: the base URLs that are on this machine alone.
        weights: the models whose weights are on this machine.
    """

    keys: tuple[str, ...]
    addresses: tuple[str, ...]
    extras: tuple[str, ...]
    unreachable: tuple[str, ...]
    weights: tuple[str, ...]


def write_workflow(suite: Path) -> Iterator[str]:
    """Write the workflow for the folder of *suite*, and yield what is left to do.

    Raises:
        ConfigurationError: the installation has no workflow, or the file cannot be written.
    """
    folder = next((path for path in _FOLDERS if path.is_dir()), None)
    if folder is None:
        raise ConfigurationError("the workflow is missing from this installation; install again")
    root = git_root(suite.parent)
    path = root / ".github" / "workflows" / "prompts.yml"
    shown = short_path(path, Path())
    if path.exists():
        yield f"{shown} is there already; it was left as it is"
        return
    try:
        needs, unknown = with_suite(suite, None, _needs), ""
    except FtgateError as error:
        needs, unknown = _Needs((), (), (), (), ()), f"; its keys are not known: {error}"
    text = (folder / _NAME).read_text("utf-8")
    paths = Path(os.path.relpath(suite.parent.resolve(), root)).as_posix()
    text = text.replace("paths: prompts", f"paths: {json.dumps(paths)}")
    text = text.replace("extras: prices", f"extras: {','.join((*needs.extras, 'prices'))}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_new(path, text.replace(_ENV, _environment(needs)))
    yield f"wrote {shown}: replace OWNER and COMMIT in it{unknown}"
    yield from _remaining_steps(needs)


def _needs(suite: Suite, session: Session) -> _Needs:
    variants = suite.variants.values()
    gate_runs = [GateRun(suite, gate, v) for v in variants for gate in suite.gates_for(v)]
    estimates, _ = estimate_variants(session, gate_runs)
    keys = (name for estimate in estimates for name, _ in estimate.keys)
    extras = {v.model: weights_extra(v.provider) for v in variants}
    urls = (v.base_url or "" for v in variants)
    return _Needs(
        keys=tuple(dict.fromkeys(keys)),
        addresses=tuple(dict.fromkeys(filter(None, (v.base_url_env for v in variants)))),
        extras=tuple(dict.fromkeys(filter(None, extras.values()))),
        unreachable=tuple(dict.fromkeys(u for u in urls if is_loopback(urlsplit(u).hostname))),
        weights=tuple(str(model) for model, extra in extras.items() if extra),
    )


def _environment(needs: _Needs) -> str:
    """Return the ``env`` of the step: keys are secrets, addresses are variables."""
    lines = [f"          {name}: ${{{{ secrets.{name} }}}}\n" for name in needs.keys]
    lines += [f"          {name}: ${{{{ vars.{name} }}}}\n" for name in needs.addresses]
    head = _ENV.splitlines(keepends=True)
    return "".join([head[0], *head[1:2] * bool(needs.keys), *lines]) if lines else ""


def _remaining_steps(needs: _Needs) -> Iterator[str]:
    """Yield what the repository at GitHub needs before the job can run."""
    if needs.keys:
        yield f"  add the secret {' and '.join(needs.keys)} to the repository at GitHub"
    if needs.addresses:
        yield f"  add the variable {' and '.join(needs.addresses)} to the repository at GitHub"
    for url in needs.unreachable:
        yield f"  a job does not reach {url}: commit its replies with pytest-ftgate cache export"
    for model in needs.weights:
        yield f"  a job has no weights of {model}: add a step that downloads them"
