"""Learning and tuning on labelled faces."""
