"""Runs side by side: tables, plots and one page."""
