"""Managing people and settings."""
