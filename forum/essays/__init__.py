"""Essays: writing, revisions, publishing, feeds."""
