"""``pytest-ftgate demo``: one run with recorded replies, and what to type next."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.weights import download_weights

_PACKAGE = Path(__file__).parents[1]
#: The suite with recorded replies.
_RECORDED = _PACKAGE / "demo"
#: The suite that runs the embedded model: in the wheel, or in a checkout.
_LIVE = (_PACKAGE / "demo" / "live", _PACKAGE.parent / "examples" / "tickets")
_MODEL = "smollm2-135m"
_SUITE = "tickets.ftgate.yaml"
_REPORT = "report.html"
_NEXT = """\
The build is red because lora-narrow learned the tickets and forgot almost everything else.
lora-replay was trained on the same tickets mixed with general prompts; it passes all its gates.

next:
  {report}
      the page with every case; open it in a browser
  pytest --ftgate {folder} -k lora-replay
      only the adapter that passes: a green build
  pytest-ftgate explain "{folder}/{suite}::forgetting[lora-narrow]"
      how the red verdict was reached
  pytest-ftgate demo --live {folder}-live
      the same with the model itself, in some minutes
  pytest-ftgate init --starter
      a suite of your own: a prompt and 30 cases, to put yours in their place
"""


def run_demo(folder: Path, *, live: bool) -> Iterator[str]:
    """Write the example into *folder*, run its gates, and yield what to type next.

    *live* sends the requests to the embedded model instead of reading recorded replies.

    Raises:
        ConfigurationError: *folder* holds something else, or the model is not installed.
    """
    source = next(filter(Path.is_dir, _LIVE), None) if live else _RECORDED
    if source is None:
        message = "the live example is missing from this installation; install again"
        raise ConfigurationError(message)
    _copy(source, folder)
    if live:
        if find_spec("xllamacpp") is None:
            message = 'demo --live needs the engine: pip install "pytest-ftgate[local]"'
            raise ConfigurationError(message)
        print(f"weights: {download_weights(_MODEL)}")
    else:
        print((_RECORDED / "about.txt").read_text("utf-8"))
    report = folder / _REPORT
    arguments = [str(folder), f"--ftgate-html={report}"]
    print(f"$ pytest --ftgate {shlex.join(arguments)}\n", flush=True)
    # By name, since PYTEST_DISABLE_PLUGIN_AUTOLOAD may keep pytest from finding the plugin.
    command = [sys.executable, "-P", "-m", "pytest", "-p", "pytest_ftgate", "--ftgate", *arguments]
    code = subprocess.run(command, check=False).returncode  # noqa: S603 - our own arguments
    if code > 1:
        raise ConfigurationError(f"pytest ended with {code}; its message is above")
    yield ""
    yield _NEXT.format(folder=folder, suite=_SUITE, report=report).removesuffix("\n")


def _copy(source: Path, folder: Path) -> None:
    """Copy the files of *source* into *folder*, which is new or holds an earlier demo."""
    if folder.exists() and not (folder.is_dir() and (folder / _SUITE).is_file()):
        raise ConfigurationError(f"{folder} exists already; name a new folder: demo FOLDER")
    if not folder.exists():
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("live", "*.pyc", ".ftgate"))
        # A demo is nothing to commit, so reports need not name its files as new.
        (folder / ".gitignore").write_text("*\n")


def is_demo(folder: Path) -> bool:
    """Return True if a demo has written the suite in *folder*."""
    suite, sources = folder / _SUITE, (_RECORDED, *_LIVE)
    originals = (source / _SUITE for source in sources if (source / _SUITE).is_file())
    return suite.is_file() and suite.read_bytes() in [path.read_bytes() for path in originals]
