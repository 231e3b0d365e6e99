"""Cosines of faces, centres and clusters, and what they say."""
