"""Training a backbone."""
