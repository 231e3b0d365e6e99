"""The commands of ``python -m facerec``, one file each."""
