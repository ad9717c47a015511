"""The moderation desk, its decisions and their undo."""
