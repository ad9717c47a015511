"""A small site to look at, and large ones to measure; never in production."""
