"""Replies on disk, by the fingerprint of their request."""
