"""Every pair of a labelled set of faces, in blocks: counts of scores, the highest impostors, galleries, intervals.

`scores.all_pairs` looks at each pair once and holds few; docs/reference/definitions-folder.md defines every figure.
"""
