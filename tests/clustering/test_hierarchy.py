"""The hierarchy as a result: its arrays, the early stop, LANDER, and the commands levels, cut and trace."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering.backends.hilander.climb import climb
from clustering.backends.hilander.hilander import HiLander, levels_as_arrays, stop_when_settled
from clustering.backends.hilander.level import Level
from clustering.backends.hilander.single_level import Lander
from clustering.graph.knn_graph import KnnGraph
from clustering.hierarchy import Hierarchy
from clustering.partition import consecutive
from clustering.result import Clustering
from clustering.similarity.confidence import Confidence
from facerec.pipeline.embeddings import normalize, save_embeddings
from facerec.pipeline.files import InputError


def random_link(random: np.random.Generator):
    def link(level: Level) -> np.ndarray:
        linkage = random.random(level.graph.neighbors.shape).astype(np.float32)
        return np.where(level.graph.valid, linkage, np.float32(0))

    return link


@st.composite
def hierarchies(draw):
    """The levels that random linkage makes of random faces, some unreadable, beside the graph."""
    n, k = draw(st.integers(1, 60)), draw(st.integers(1, 6))
    random = np.random.default_rng(draw(st.integers(0, 9999)))
    faces = normalize(random.normal(size=(n, 4)))
    faces[random.random(n) < draw(st.sampled_from([0, 0.2]))] = 0
    graph = KnnGraph.build(faces, k)
    steps = climb(graph, random_link(random), draw(st.sampled_from([0.3, 0.6, 0.9])), "average", k)
    return graph, list(levels_as_arrays(steps, graph.readable))


@settings(max_examples=60, deadline=None)
@given(hierarchies())
def test_levels_are_nested_and_name_their_nodes_by_faces(drawn):
    graph, levels = drawn
    nodes = np.arange(len(graph))
    for number, level in enumerate(levels):
        labels, peaks, parents = level["labels"], level["peaks"], level["parents"]
        np.testing.assert_array_equal(labels < 0, ~graph.readable)
        np.testing.assert_array_equal(consecutive(labels), labels)
        np.testing.assert_array_equal(labels[peaks], np.arange(labels.max() + 1))
        assert len(parents) == len(level["densities"]) == len(level["linkage"]) == len(nodes)
        assigned = labels[nodes] >= 0
        assert assigned.all() or number == 0
        np.testing.assert_array_equal(parents[~assigned], -1)
        np.testing.assert_array_equal(labels[parents[assigned]], labels[nodes[assigned]])
        assert set(nodes[parents == nodes]) == set(peaks)
        np.testing.assert_array_equal(level["linkage"] == 0, (parents == nodes) | (parents < 0))
        if number:
            pairs = np.unique(np.stack([levels[number - 1]["labels"], labels]), axis=1)
            assert len(np.unique(pairs[0])) == pairs.shape[1]
        nodes = peaks
    assert len(levels[-1]["peaks"]) == np.count_nonzero(levels[-1]["parents"] >= 0)


@settings(max_examples=60, deadline=None)
@given(hierarchies(), st.integers(0, 59))
def test_trace_follows_edges_of_rising_density_to_the_peak(drawn, face):
    graph, levels = drawn
    face %= len(graph)
    hierarchy = Hierarchy(levels)
    if not graph.readable[face]:
        with pytest.raises(InputError, match=f"face {face} is in no cluster"):
            hierarchy.trace(face)
        return
    way = hierarchy.trace(face)
    assert way[0]["node"] == face
    for number, level in enumerate(levels):
        hops = [row for row in way if row["level"] == number]
        assert {row["peak"] for row in hops} == {level["peaks"][level["labels"][face]]}
        assert [row["next"] for row in hops] == [row["node"] for row in hops[1:]] + [None]
        assert hops[-1]["node"] == hops[-1]["peak"]
        assert all(a["density"] <= b["density"] for a, b in pairwise(hops))
        assert all(0 < row["linkage"] <= 1 for row in hops[:-1])
        if number:
            assert hops[0]["node"] == levels[number - 1]["peaks"][levels[number - 1]["labels"][face]]


def step(parents: list[int], faces: list[int], linkage: list[float]):
    parents_, roots = np.array(parents), np.array(parents)
    for _ in parents:
        roots = parents_[roots]
    peaks, clusters = np.unique(roots, return_inverse=True)
    level = SimpleNamespace(faces=np.array(faces))
    density = np.arange(len(parents), dtype=np.float32) / 10
    return SimpleNamespace(
        level=level, parents=parents_, peaks=peaks, clusters=clusters, density=density,
        linkage=np.array(linkage, np.float32),
    )  # fmt: skip


def test_recorded_by_hand():
    # Five faces, the last unreadable: 0 -> 3 and 1 -> 2; then node 0 (face 2) -> node 1 (face 3); node 2 is face 4.
    first = step([3, 2, 2, 3, 4], [0, 1, 2, 3, 4], [0.9, 0.8, 0, 0, 0])
    second = step([1, 1, 2], [2, 3, 4], [0.7, 0, 0])
    found = list(levels_as_arrays([first, second], np.array([True, True, True, True, False])))
    np.testing.assert_array_equal(found[0]["labels"], [0, 1, 1, 0, -1])
    np.testing.assert_array_equal(found[0]["peaks"], [3, 2])
    np.testing.assert_array_equal(found[0]["parents"], [3, 2, 2, 3, -1])
    np.testing.assert_allclose(found[0]["linkage"], [0.9, 0.8, 0, 0, 0])
    np.testing.assert_array_equal(found[1]["labels"], [0, 0, 0, 0, -1])
    np.testing.assert_array_equal(found[1]["peaks"], [3])
    np.testing.assert_array_equal(found[1]["parents"], [3, 3])  # of the nodes 3 and 2
    np.testing.assert_allclose(found[1]["linkage"], [0, 0.7])
    np.testing.assert_allclose(found[1]["densities"], [0.1, 0])
    way = Hierarchy(found).trace(1)
    assert [(row["level"], row["node"], row["next"], row["peak"]) for row in way] == [
        (0, 1, 2, 2), (0, 2, None, 2), (1, 2, 3, 3), (1, 3, None, 3),
    ]  # fmt: skip
    assert way[2]["linkage"] == pytest.approx(0.7)
    assert Hierarchy(found).table() == [
        {"level": 0, "clusters": 2, "mean_size": 2.0, "singletons": 0, "largest": 2, "edges": 2},
        {"level": 1, "clusters": 1, "mean_size": 4.0, "singletons": 0, "largest": 4, "edges": 1},
    ]


@pytest.mark.parametrize(
    ("edges", "k", "kept"),
    [
        ([900, 90, 9, 1, 0], 10, 5),  # 1/10 of the level before, each time
        ([900, 100, 9, 0], 10, 4),  # exactly 1/9 is not more
        ([900, 101, 9, 0], 10, 2),
        ([900, 10, 9, 8, 0], 10, 3),
        ([900, 500, 0], 2, 3),  # binary trees: all of the level before
        ([900, 901, 0], 2, 2),
        ([900, 901, 0], 1, 3),
        ([0], 10, 1),
    ],
)
def test_early_stop_by_hand(edges, k, kept):
    steps = [SimpleNamespace(parents=np.zeros(count + 3), peaks=np.zeros(3)) for count in edges]
    assert len(list(stop_when_settled(steps, k))) == kept


def test_early_stop_and_levels_leave_out_the_upper_levels(hilander, blobs):
    graph = KnnGraph.build(blobs(spread=0.8, faces=40)[0], 5)
    whole = hilander.cluster(graph)
    assert len(whole.levels) > 2
    edges = [row["edges"] for row in Hierarchy(whole.levels).table()]
    expected = next(i for i in range(1, len(edges)) if edges[i] * 4 > edges[i - 1] or not edges[i]) + 1
    for options, count in [({"early_stop": True}, expected), ({"levels": 2}, 2), ({"levels": 99}, len(edges))]:
        found = hilander.with_settings(**options).cluster(graph)
        assert len(found.levels) == count
        np.testing.assert_array_equal(found.labels, whole.levels[count - 1]["labels"])


def test_lander_is_the_lowest_level(hilander, blobs):
    graph = KnnGraph.build(blobs(spread=0.8, faces=40)[0], 5)
    whole = hilander.cluster(graph)
    lander = Lander(**{**hilander.get_params(), "levels": 1})
    np.testing.assert_array_equal(lander.cluster(graph).labels, Hierarchy(whole.levels).cut(0))
    np.testing.assert_array_equal(whole.labels, Hierarchy(whole.levels).cut(len(whole.levels) - 1))
    assert lander.cluster(graph).labels.max() > whole.labels.max()
    assert lander.with_settings(p_tau=0.9).p_tau == 0.9
    with pytest.raises(InputError, match="levels is None; lander has 1"):
        lander.with_settings(levels=None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": 0}, "levels is 0; it must be a whole number from 1"),
        ({"levels": 1.5}, "levels is 1.5; it must be a whole number"),
        ({"early_stop": 1}, "early_stop is 1; it must be one of True, False"),
        ({"k": 2.5}, "k is 2.5; it must be a whole number"),
    ],
)
def test_refused_settings(hilander, options, message):
    with pytest.raises(InputError, match=message):
        hilander.with_settings(**options)


@pytest.fixture
def folders(tmp_path, blobs, hilander: HiLander, command) -> Path:
    """Embeddings with an unreadable face, and their clusters."""
    embeddings, _ = blobs(spread=0.8, faces=40)
    embeddings[7] = 0
    for name in ("embeddings", "model", "clusters"):
        (tmp_path / name).mkdir()
    save_embeddings(tmp_path / "embeddings", embeddings)
    (tmp_path / "clusters").rmdir()
    hilander.save_pretrained(tmp_path / "model")
    assert command(
        "cluster", "--backend", "hilander", "--model", tmp_path / "model", "--embeddings", tmp_path / "embeddings",
        "--out", tmp_path / "clusters",
    ) == 0  # fmt: skip
    return tmp_path


def test_levels_command(folders, capsys, command):
    assert command("levels", "--clusters", folders / "clusters", "--json", folders / "levels.json") == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["level", "clusters", "mean_size", "singletons", "largest", "edges"]
    table = json.loads((folders / "levels.json").read_text())
    assert len(lines) == len(table) == len(list((folders / "clusters" / "levels").iterdir()))
    labels = np.load(folders / "clusters" / "labels.npy")
    assert table[-1]["clusters"] == labels.max() + 1
    assert table[-1]["edges"] == 0
    assert sum(row["edges"] for row in table) == 479 - table[-1]["clusters"]
    assert table[0]["largest"] == np.bincount(np.load(folders / "clusters/levels/00/labels.npy")[labels >= 0]).max()


def test_trace_command(folders, capsys, command):
    assert command("trace", "--clusters", folders / "clusters", "--face", 3, "--json", folders / "way.json") == 0
    way = json.loads((folders / "way.json").read_text())
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["level", "node", "next", "linkage", "density", "peak"]
    assert len(lines) == len(way)
    assert way[0]["node"] == 3
    labels = np.load(folders / "clusters" / "labels.npy")
    assert labels[way[-1]["peak"]] == labels[3]


def test_cut_command(folders, command):
    clusters, last = folders / "clusters", len(list((folders / "clusters" / "levels").iterdir())) - 1
    embeddings = folders / "embeddings"
    assert command("cut", "--clusters", clusters, "--level", 0, "--knn", folders / "x", "--out", folders / "top") == 2
    assert command("cut", "--clusters", clusters, "--level", last, "--out", folders / "top") == 0
    assert command("cut", "--clusters", clusters, "--level", 0, "--out", folders / "finest") == 0
    assert command(
        "cut", "--clusters", clusters, "--level", last, "--embeddings", embeddings, "--out", folders / "anew"
    ) == 0  # fmt: skip
    assert command(
        "cut", "--clusters", clusters, "--level", 0, "--embeddings", embeddings, "--out", folders / "lowest"
    ) == 0  # fmt: skip
    for name in ("top", "anew"):
        for file in ("labels.npy", "confidence.npy"):
            np.testing.assert_array_equal(np.load(folders / name / file), np.load(clusters / file), err_msg=name)
    faces, labels = np.load(embeddings / "embeddings.npy"), np.load(folders / "lowest/labels.npy")
    np.testing.assert_array_equal(labels, np.load(clusters / "levels/00/labels.npy"))
    anew = np.load(folders / "lowest/confidence.npy")
    np.testing.assert_allclose(anew, Confidence().of_faces(KnnGraph.build(faces, 5), labels), atol=1e-6)
    assert not np.array_equal(anew, np.load(clusters / "confidence.npy"))
    assert anew[7] == 0
    assert command("pseudolabel", "--clusters", folders / "finest", "--out", folders / "pseudo") == 0


def test_cut_carries_the_confidence_but_to_faces_that_are_alone(tmp_path, command):
    confidence = np.array([0.5, 0.25, 0.75, 1, 0], np.float32)
    levels = [{"labels": np.array(labels)} for labels in ([0, 1, 1, 2, -1], [0, 0, 0, 1, -1])]
    Clustering(levels[1]["labels"], confidence, levels).save(tmp_path)
    for level, expected in enumerate([[1, 0.25, 0.75, 1, 0], confidence]):
        assert command("cut", "--clusters", tmp_path, "--level", level, "--out", tmp_path / f"cut{level}") == 0
        np.testing.assert_array_equal(np.load(tmp_path / f"cut{level}" / "confidence.npy"), expected)
        np.testing.assert_array_equal(np.load(tmp_path / f"cut{level}" / "labels.npy"), levels[level]["labels"])


def test_levels_of_finch_can_be_cut_but_not_traced(folders, capsys, command):
    clusters, embeddings = folders / "finch", folders / "embeddings"
    assert command("cluster", "--backend", "finch", "--embeddings", embeddings, "--out", clusters) == 0
    assert command("levels", "--clusters", clusters) == 0
    assert command("cut", "--clusters", clusters, "--level", 1, "--out", folders / "out") == 0
    expected = consecutive(np.load(clusters / "levels/01/labels.npy"))
    np.testing.assert_array_equal(np.load(folders / "out/labels.npy"), expected)
    assert command("trace", "--clusters", clusters, "--face", 0) == 2
    assert "trace needs those of hilander or lander" in capsys.readouterr().err
    assert command("cut", "--clusters", clusters, "--level", 0, "--embeddings", embeddings, "--out", folders / "o") == 2
    assert "finch estimates no confidence; leave --embeddings out" in capsys.readouterr().err


def test_clusters_of_several_levels_are_of_the_hierarchy():
    found = Hierarchy([{"labels": np.array(level)} for level in ([0, 0, 1, 1, 2, 2, -1], [0, 0, 0, 0, 1, 1, -1])])
    assert found.has(np.array([5, 5, 5, 5, 3, 3, -1]))  # one of the upper level, one of both
    assert found.has(np.array([0, 0, 1, 2, 3, 3, -1]))  # the middle one is cut into faces alone
    assert not found.has(np.array([0, 1, 0, 1, 2, 2, -1]))
    assert not found.has(np.array([0, 0, 0, 1, 2, 2, -1]))  # a part of a cluster
    assert not found.has(np.array([0, 0, 0, 0, 0, 0, -1]))
    assert not found.has(np.array([0, 0, 1, 1, 2, -1, 2]))  # with a face that no level has


def test_clusters_of_finch_are_of_their_hierarchy_in_the_order_of_their_faces(folders, caplog, command):
    clusters = folders / "finch"
    assert command(
        "cluster", "--backend", "finch", "--embeddings", folders / "embeddings", "--set", "min_similarity=0.7",
        "--out", clusters,
    ) == 0  # fmt: skip
    found = Hierarchy.load(clusters)
    labels = np.load(clusters / "labels.npy")
    assert not any(np.array_equal(level["labels"], labels) for level in found.levels)
    assert "are they of the same faces?" not in caplog.text
    np.save(clusters / "labels.npy", labels[::-1])
    Hierarchy.load(clusters)
    assert "labels.npy has clusters of none of its levels; are they of the same faces?" in caplog.text


def remove(path: str):
    return lambda folder: (folder / path).unlink()


def put(path: str, array: np.ndarray):
    return lambda folder: np.save(folder / path, array)


@pytest.mark.parametrize(
    ("line", "damage", "message"),
    [
        ("levels --clusters {t}/nothing", None, "nothing: no such folder; give one that cluster made"),
        ("levels --clusters {t}/embeddings", None, "no levels; make a hierarchy with cluster --backend hilander"),
        ("levels --clusters {c} --json {t}", None, "a folder; --json wants a file name"),
        ("levels --clusters {c}", lambda c: (c / "levels/00").rename(c / "levels/77"), "expected 00 and so on"),
        ("levels --clusters {c}", remove("levels/01/labels.npy"), "labels.npy: no such file"),
        ("levels --clusters {c}", put("levels/01/labels.npy", np.arange(3)), "3 labels for 480 rows"),
        ("trace --clusters {c} --face 0", put("levels/01/parents.npy", np.arange(3)), "3 values, expected"),
        ("trace --clusters {c} --face 0", put("levels/00/parents.npy", np.full(480, -1)), "not the rows of 480 faces"),
        ("trace --clusters {c} --face 0", remove("levels/00/parents.npy"), "the levels have no parents.npy"),
        ("trace --clusters {c} --face 0", remove("levels/00/densities.npy"), "the levels have no densities.npy"),
        ("trace --clusters {c} --face 480", None, "face is 480; {c} has rows 0 to 479"),
        ("trace --clusters {c} --face 7", None, "face 7 is in no cluster; it could not be read"),
        ("cut --clusters {c} --level 50 --out {o}", None, "level is 50; {c} has levels 0 to"),
        ("cut --clusters {c} --level -1 --out {o}", None, "level is -1"),
        ("cut --clusters {c} --level 0 --out {o}", put("confidence.npy", np.ones(3)), "3 values for 480 faces"),
        (
            "cut --clusters {c} --level 0 --out {o}",
            put("confidence.npy", np.full(480, 1.5)),
            "expected one in [0, 1] each",
        ),
        ("cut --clusters {c} --level 0 --out {o}", remove("confidence.npy"), "give --embeddings to estimate it"),
        ("cut --clusters {c} --level 0 --embeddings {t}/few.npy --out {o}", None, "2 embeddings for 480 faces"),
        ("cut --clusters {c} --level 0 --embeddings {t}/embeddings --out {o}", remove("config.yaml"), "no such file"),
    ],
)
def test_bad_input_is_one_line(folders, line, damage, message, capsys, command):
    clusters = folders / "clusters"
    np.save(folders / "few.npy", np.eye(2, 16, dtype=np.float32))
    if damage:
        damage(clusters)
    names = {"t": folders, "c": clusters, "o": folders / "out"}
    assert command(*line.format(**names).split()) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.format(**names) in error
    assert not (folders / "out").exists()


def test_a_circle_of_edges_is_refused():
    level = {
        "labels": np.array([0, 0, 0]), "peaks": np.array([2]), "parents": np.array([1, 0, 2]),
        "densities": np.zeros(3), "linkage": np.ones(3),
    }  # fmt: skip
    with pytest.raises(InputError, match="the edges from face 0 go in a circle"):
        Hierarchy([level]).trace(0)


def test_saved_levels_are_read_as_they_were(hilander, blobs, tmp_path):
    clustering: Clustering = hilander.cluster(KnnGraph.build(blobs(spread=0.8)[0], 5))
    clustering.save(tmp_path)
    for saved, level in zip(Hierarchy.load(tmp_path).levels, clustering.levels, strict=True):
        assert set(saved) == set(level)
        for name, array in level.items():
            np.testing.assert_array_equal(saved[name], array)
            assert saved[name].dtype == array.dtype
