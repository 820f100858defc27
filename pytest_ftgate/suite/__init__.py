"""The author's file becomes a `Suite`."""
