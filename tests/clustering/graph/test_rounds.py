from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clustering.graph.approximate import ApproximateSettings, rounds
from clustering.graph.blocks_on_disk import Lists
from clustering.graph.builder import GraphBuilder
from clustering.graph.candidates import both_ways
from clustering.graph.rounds import improved, link, share_of_new
from facerec.pipeline.embeddings import normalize

K, WIDTHS = 4, (3, 2)


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return normalize(np.random.default_rng(0).normal(size=(300, 6)))


def first_lists(faces: np.ndarray) -> Lists:
    """Some faces a row, whichever, in the order of their cosines; one row has none."""
    random = np.random.default_rng(1)
    ids = np.stack([random.permutation(np.delete(np.arange(len(faces)), row))[:K] for row in range(len(faces))])
    cosines = np.einsum("nd,nkd->nk", faces, faces[ids])
    order = np.argsort(-cosines, axis=1)
    ids, cosines = np.take_along_axis(ids, order, axis=1), np.take_along_axis(cosines, order, axis=1)
    ids[7], cosines[7] = -1, 0
    return Lists(ids.astype(np.int32), cosines.astype(np.float32))


def builder_in(folder: Path, faces: np.ndarray) -> GraphBuilder:
    return GraphBuilder(faces, np.arange(len(faces)), folder, folder, K)


def by_hand(faces: np.ndarray, lists: Lists) -> list[list[int]]:
    """The best of each row's list, its links either way, and the links of those."""
    ends, found = both_ways(lists.neighbors[:, : WIDTHS[0]], WIDTHS[1]), []
    for row, known in enumerate(lists.neighbors):
        near = [end for end in ends[row] if end >= 0]
        candidates = {*known, *near, *(further for end in near for further in ends[end])} - {-1, row}
        found.append(sorted(candidates, key=lambda other: (-faces[row] @ faces[other], other))[:K])
    return found


def test_rounds_that_follow_what_is_new_find_what_all_links_lead_to(faces, tmp_path):
    builder, lists, links = builder_in(tmp_path, faces), first_lists(faces), None
    for number in range(3):
        folder = tmp_path / str(number)
        links = link(builder, lists, folder, WIDTHS, links)
        there = links.ends >= 0
        assert np.array_equal(links.new, there) if number == 0 else 0 < links.new[there].mean() < 1
        assert share_of_new(links, folder) == links.new.mean()
        expected = by_hand(faces, lists)
        lists = improved(builder, lists, folder, links)
        for row, ids in zip(expected, lists.neighbors, strict=True):
            np.testing.assert_array_equal([*row, *[-1] * (K - len(row))], ids)


def test_what_was_followed_is_not_new(faces, tmp_path):
    builder, lists = builder_in(tmp_path, faces), first_lists(faces)
    before = link(builder, lists, tmp_path / "before", WIDTHS, None)
    again = link(builder, lists, tmp_path / "again", WIDTHS, before)
    assert not again.new.any()
    same = improved(builder, lists, tmp_path / "again", again)
    np.testing.assert_array_equal(same.neighbors, lists.neighbors)


def test_rounds_end_when_few_links_are_new(faces, tmp_path):
    lists = first_lists(faces)
    for least, done in ((1.1, 1), (0.0, 4)):
        builder = builder_in(tmp_path / str(done), faces)
        rounds(builder, lists, None, ApproximateSettings(links=3, back_links=2, least_new=least))
        folders = sorted(path.parent.name for path in builder.steps.glob("*/neighbors.npy"))
        assert folders == [str(number + 1) for number in range(done)]
