"""The systems that are measured side by side, one file each; `on_…` holds what runs inside a peer's own environment."""
