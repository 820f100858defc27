"""What the verbs of ``pytest-ftgate`` do."""
