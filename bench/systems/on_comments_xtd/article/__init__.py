"""The smallest Django site with commented articles."""
