"""Gates while a model is trained: a callback for the trainers of Transformers and TRL."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ftgate.training.callback import GateCallback as GateCallback


def __getattr__(name: str) -> object:
    # Imported on demand, since it takes torch and transformers.
    if name != "GateCallback":
        raise AttributeError(name)
    try:
        from pytest_ftgate.training import callback
    except ImportError as error:
        message = f'GateCallback: {error}; pip install "pytest-ftgate[transformers]"'
        raise ImportError(message) from error
    return callback.GateCallback
