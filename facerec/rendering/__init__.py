"""Rendered faces: a person is a short vector of traits, a photograph everything else."""
