"""What runs of pytest inside a test import, imported once for all of them.

pytester forgets what a test was the first to import. NumPy cannot be imported twice, and a second
copy of our modules would not know the classes of the first. The rest is here to save time: each of
a thousand runs would import it anew.
"""

# ruff: noqa: F401
from __future__ import annotations

import aiohttp
import tabulate
import wcwidth

import pytest_ftgate.adapters.conversion
import pytest_ftgate.cli.doctor
import pytest_ftgate.cli.record
import pytest_ftgate.plugin.internal_error
import pytest_ftgate.plugin.reporter
import pytest_ftgate.reporting.causes
import pytest_ftgate.reporting.checkpoints
import pytest_ftgate.reporting.explain
import pytest_ftgate.reporting.flips
import pytest_ftgate.reporting.html.page
import pytest_ftgate.reporting.markdown
import pytest_ftgate.reporting.runs
import pytest_ftgate.reporting.skills
import pytest_ftgate.reporting.suite_errors
import pytest_ftgate.scoring.sandbox
