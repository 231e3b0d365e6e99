"""1:1 verification, 1:N identification, templates, folds."""
