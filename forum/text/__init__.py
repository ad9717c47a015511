"""Words in, safe words out; knows nothing of the site."""
