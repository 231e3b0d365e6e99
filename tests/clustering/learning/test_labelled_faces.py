"""Labelled faces parted by identity."""

from __future__ import annotations

import numpy as np
import pytest

from clustering.learning.labelled_faces import LabelledFaces, split


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_split_is_by_identity(blobs, share):
    faces = LabelledFaces(*blobs(identities=10))
    held, rest = split(faces, share, seed=0)
    assert len(np.unique(held.labels)) == 10 * share
    assert set(held.labels).isdisjoint(rest.labels)
    assert len(held.labels) + len(rest.labels) == len(faces.labels)
    for part in (held, rest):
        assert len(part.embeddings) == len(part.labels)
