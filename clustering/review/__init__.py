"""The review page and the decisions made on it."""
