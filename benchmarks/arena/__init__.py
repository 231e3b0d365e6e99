"""The open arena: every method on every set, as published, tuned and at its best setting on the test set."""
