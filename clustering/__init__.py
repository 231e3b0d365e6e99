"""Embeddings to pseudo-labels: kNN graphs, clustering backends, tuning."""
