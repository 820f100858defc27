"""What tests share: servers on loopback, suites, run records, and what a project may break."""
