"""Comments, threads and the rights table."""
