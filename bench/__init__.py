"""The benchmarks: how fast pages are, and whether a killed server keeps its word. Not tests."""
