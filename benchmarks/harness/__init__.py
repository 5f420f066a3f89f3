"""What all benchmarks share: child processes, what machine this is, checks, tables and charts."""
