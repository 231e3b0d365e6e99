"""Evaluates embeddings and clusters. Never imports torch.

    metrics     1:1 (`fnmr`: FNMR at FMR, EER, AUC), 1:N (`fnir`: FNIR at FPIR, ranks), templates
    clusters    pairwise F, BCubed F, NMI, identities found, calibration of a confidence
    all_pairs   all pairs of a labelled set of faces, of any size
    protocols   reads IJB-B, IJB-C and lists of pairs, and makes all their comparisons
    bootstrap   bootstrap samples of every figure, over subjects
    trainings   which rows differ significantly, over several trainings and the test people
    report      the files of one evaluation: metrics.json, curves, tables, plots
    comparison  several runs in one table and on one page
    commands    ``python -m eval``, paths in, path out

Write ``from eval.metrics import verification``, never ``import eval``, which hides the builtin.
"""
