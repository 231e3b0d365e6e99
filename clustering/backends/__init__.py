"""The clustering backends."""
