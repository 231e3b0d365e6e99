"""Margin and proxy losses, and the heads that hold class centres."""
