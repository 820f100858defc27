"""From a plan to its replies: providers, the engine that asks them, the ledger that keeps."""
