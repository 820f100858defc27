"""A pytest quality gate for prompts and fine-tuned language models."""

from importlib.metadata import version

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    # Read on demand: looking up a distribution costs milliseconds at every pytest start.
    if name == "__version__":
        return version("pytest-ftgate")
    raise AttributeError(name)
