"""The process tree: a supervisor that holds the door, generations that import the site once and fork its workers."""
