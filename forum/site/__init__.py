"""Site settings and the audit log."""
