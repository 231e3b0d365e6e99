"""Margin and proxy losses, and the heads that hold class centres; `facerec.losses.choice` has them by name."""
