"""What a reader's subscription is."""
