"""Which trials tuning chooses."""

import pytest

from clustering.backends.hilander import pairs
from clustering.backends.hilander.hilander import HiLander
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.proposals import candidates, strict, training_of
from clustering.learning.tuning import Version, run_trials
from eval.clusters import scores


def trial(k: int, score: float, precision: float = 0.9, training: int = 0) -> dict[str, float]:
    return {"k": k, "score": score, "precision": precision, "training": training}


def test_a_strict_trial_is_chosen_of_those_nearly_as_good_as_the_best():
    near = [trial(20, 1.0, 0.91), trial(10, 0.999, 0.93), trial(10, 0.991, 0.95), trial(3, 0.9901, 0.97)]
    strictest, worse = trial(5, 0.995, 0.99), trial(3, 0.989, 0.96)
    rows = [worse, near[2], strictest, near[0], near[3], near[1]]
    assert strict(rows) is near[3]
    assert strict([near[0], worse]) is near[0]


@pytest.mark.parametrize(("own", "chosen"), [(0.8159, 1), (0.8161, 0), (0.7, 1)])
def test_the_packaged_model_is_taken_unless_another_scores_two_per_cent_more(own, chosen):
    rows = [trial(10, own), trial(10, 0.5), trial(10, 0.6, training=1), trial(10, 0.8, training=1)]
    assert training_of(rows, packaged=1) == chosen
    assert training_of(rows) == int(own < 0.8)


def test_the_last_candidates_of_hilander_have_the_neighbours_of_the_strict_choice():
    results: list[dict[str, float]] = []
    for settings in candidates(HiLander(), 21, 0, results):
        results.append(settings | {"score": 1 - abs(settings["k"] - 10) / 9, "precision": settings["p_tau"]})
    assert {row["k"] for row in results[:16]} == {3, 5, 10, 20}
    assert {row["k"] for row in results[16:]} == {10}


def test_hilander_links_the_faces_of_a_version_once_for_every_number_of_neighbours(blobs, monkeypatch):
    embeddings, labels = blobs(spread=1.5, dimension=24)
    held = [Version("whole", KnnGraph.build(embeddings, 20), labels)]
    asked, neighborhoods = [], pairs.neighborhoods
    monkeypatch.setattr(
        pairs, "neighborhoods", lambda level, *given: asked.append(level.graph.k) or neighborhoods(level, *given)
    )
    rows = run_trials(HiLander(), held, 12, seed=0)
    assert sorted(asked) == [3, 5, 10, 20]
    for row in rows[::5]:
        alone = HiLander(p_tau=row["p_tau"], k=row["k"]).cluster(held[0].graph)
        assert row["whole_bcubed_f"] == scores(labels, alone.labels)["bcubed_f"]
    assert len({row["whole_bcubed_f"] for row in rows}) > 1, "all trials are alike; nothing is compared"
