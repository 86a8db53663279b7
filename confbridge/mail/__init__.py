"""Talking to mail servers; knows no tables."""
