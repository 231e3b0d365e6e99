"""The kNN graph: exact, approximate, on disk."""
