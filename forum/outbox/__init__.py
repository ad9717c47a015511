"""Mail that leaves after the request."""
