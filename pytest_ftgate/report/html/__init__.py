"""One page that opens from disk: verdicts, pictures, and every case."""
