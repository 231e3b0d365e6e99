"""Backends side by side on one embedding set."""
