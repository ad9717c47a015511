"""Tests of text: words in, safe words out."""
