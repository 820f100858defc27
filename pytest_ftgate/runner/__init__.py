"""One run: plan, ask, score, evaluate."""
