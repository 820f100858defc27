"""A `Suite` becomes requests."""
