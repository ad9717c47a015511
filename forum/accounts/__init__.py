"""People, their sessions and their ways to sign in."""
