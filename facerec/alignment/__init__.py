"""Photographs to aligned face crops."""
