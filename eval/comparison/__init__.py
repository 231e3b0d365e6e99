"""Runs side by side: one table, one page, and which rows differ."""
