"""A request becomes a reply: concurrency, retries, budget and progress."""
