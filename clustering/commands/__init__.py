"""The commands of ``python -m clustering``, one file each."""
