"""What a reader asked to hear about."""
