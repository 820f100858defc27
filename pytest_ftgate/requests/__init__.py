"""From a suite to its requests."""
