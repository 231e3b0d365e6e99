"""Intervals by drawing subjects, with replacement: `resampling` says how, `impostor_bins` makes it fast."""
