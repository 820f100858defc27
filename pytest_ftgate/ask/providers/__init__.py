"""One file a provider; each is the only importer of its SDK."""
