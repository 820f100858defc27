"""From a suite to the calls it needs: each rendered, and named by what can change its reply."""
