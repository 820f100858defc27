"""One module for each backend that answers requests."""
