"""One run: plan requests, collect replies, score them, evaluate gates."""
