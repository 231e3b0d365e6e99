"""Faces on disk behind one interface."""
