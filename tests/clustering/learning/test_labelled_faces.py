"""Labelled faces parted by identity."""

from __future__ import annotations

import numpy as np
import pytest

from clustering.learning.labelled_faces import LabelledFaces, repeated_identities, split, split_identities
from facerec.pipeline.files import InputError


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_split_is_by_identity(blobs, share):
    faces = LabelledFaces(*blobs(identities=10))
    held, rest = split(faces, share, seed=0)
    assert len(np.unique(held.labels)) == 10 * share
    assert set(held.labels).isdisjoint(rest.labels)
    assert len(held.labels) + len(rest.labels) == len(faces.labels)
    for part in (held, rest):
        assert len(part.embeddings) == len(part.labels)


@pytest.mark.parametrize("seed", range(8))
def test_both_parts_have_people_with_several_faces(seed):
    labels = np.append(np.repeat([3, 5, 7, 9], 2), np.arange(20, 36))
    learning, validation = split_identities(LabelledFaces(np.eye(24, dtype=np.float32), labels), seed)
    assert repeated_identities(learning.labels) == repeated_identities(validation.labels) == 2
    assert len(learning.labels) == len(validation.labels) == 12


def test_people_of_one_face_are_none_to_hold_back():
    labels = np.append(np.repeat([0, 1, 2], 2), np.arange(10, 20))
    with pytest.raises(InputError, match="3 identities: too few with two faces or more"):
        split_identities(LabelledFaces(np.eye(16, dtype=np.float32), labels), 0)
