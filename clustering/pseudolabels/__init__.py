"""Clusters to pseudo-labels."""
