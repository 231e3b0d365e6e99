"""Embeddings to numbers. Never imports torch.

    metrics     1:1 (`fnmr`: FNMR at FMR, EER, AUC), 1:N (`fnir`: FNIR at FPIR, ranks), templates
    clusters    pairwise F, BCubed F, NMI, identities found, calibration of a confidence
    all_pairs   every pair of a labelled set of faces, of any size
    protocols   IJB-B, IJB-C and lists of pairs, read from disk; all their comparisons
    bootstrap   samples of every figure, by drawing subjects
    trainings   which rows differ, over several trainings of each and the test people
    report      what is written of one evaluation: metrics.json, curves, tables, plots
    comparison  runs side by side: one table and one page
    commands    ``python -m eval``, paths in, path out

Write ``from eval.metrics import verification``, never ``import eval``: that name hides the builtin.
"""
