"""Screens that combine capabilities."""
