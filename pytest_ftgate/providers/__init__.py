"""One module for each provider: a backend that answers requests."""
