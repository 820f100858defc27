"""``pytest-ftgate``: verbs that need no test run, each a thin call into a stage."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pytest_ftgate.errors import FtgateError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return 0, or 1 with the reason on standard error."""
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        args.run(args)
    except FtgateError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pytest-ftgate", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    weights = verbs.add_parser("weights", help="fetch the weights of a local model")
    weights.add_argument("name", help="such as smollm2-135m")
    weights.set_defaults(run=_weights)
    schema = verbs.add_parser("schema", help="print the JSON Schema of suite files, for editors")
    schema.set_defaults(run=_schema)
    return parser


def _weights(args: argparse.Namespace) -> None:
    from pytest_ftgate.weights import fetch

    print(fetch(args.name))


def _schema(args: argparse.Namespace) -> None:
    del args
    from pytest_ftgate.suite.schema import suite_schema

    print(suite_schema(), end="")
