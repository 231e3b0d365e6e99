"""How good a clustering is, estimated without labels."""
