"""Pixels to embeddings: face stores, training, extraction."""
