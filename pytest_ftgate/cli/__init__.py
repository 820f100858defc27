"""The command `pytest-ftgate`."""
