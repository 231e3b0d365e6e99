"""Intervals by drawing subjects."""
