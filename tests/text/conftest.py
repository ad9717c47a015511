"""Settings for the tests of text."""

from hypothesis import settings

# On a busy machine a single example may take long; each test bounds what it is about itself.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
