"""Tests of the demo and of load data."""
