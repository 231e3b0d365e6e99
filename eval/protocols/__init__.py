"""IJB-B, IJB-C and pair lists, read from disk."""
