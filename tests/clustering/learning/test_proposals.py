"""Which trials tuning chooses."""

from clustering.backends.hilander import pairs
from clustering.backends.hilander.hilander import HiLander
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.proposals import candidates, strict
from clustering.learning.tuning import Version, search
from eval.clusters import scores


def trial(k: int, score: float, precision: float = 0.9, training: int = 0) -> dict[str, float]:
    return {"k": k, "score": score, "precision": precision, "training": training}


def test_the_last_candidates_have_the_neighbours_of_the_strict_trial():
    results: list[dict[str, float]] = []
    for settings in candidates(HiLander(), 21, 0, results):
        results.append(settings | {"score": 1 - abs(settings["p_tau"] - 0.7) / 1000, "precision": settings["p_tau"]})
    assert {row["k"] for row in results[:16]} == {3, 5, 10, 20}
    assert {row["k"] for row in results[16:]} == {strict(results[:16])["k"]}


def test_hilander_links_the_faces_of_a_version_once_for_every_number_of_neighbours(blobs, monkeypatch):
    embeddings, labels = blobs(spread=1.5, dimension=24)
    held = [Version("whole", KnnGraph.build(embeddings, 20), labels)]
    asked, neighborhoods = [], pairs.neighborhoods
    monkeypatch.setattr(
        pairs, "neighborhoods", lambda level, *given: asked.append(level.graph.k) or neighborhoods(level, *given)
    )
    rows = search(HiLander(), held, 12, seed=0)
    assert sorted(asked) == [3, 5, 10, 20]
    for row in rows[::5]:
        alone = HiLander(p_tau=row["p_tau"], k=row["k"]).cluster(held[0].graph)
        assert row["whole_bcubed_f"] == scores(labels, alone.labels)["bcubed_f"]
    assert len({row["whole_bcubed_f"] for row in rows}) > 1, "all trials are alike; nothing is compared"
