"""Which settings tuning tries, on whom, and which it chooses."""

from types import SimpleNamespace

import numpy as np
import pytest

from clustering.backends.components import Components
from clustering.backends.hilander import pairs
from clustering.backends.hilander.hilander import HiLander
from clustering.backends.networks import l2c
from clustering.graph.knn_graph import KnnGraph
from clustering.learning import tuning
from clustering.learning.labelled_faces import LabelledFaces
from clustering.learning.proposals import candidates, chosen_of, strict, training_of
from clustering.learning.tuning import Version, run_trial, run_trials, validation_versions
from eval.clusters import scores
from facerec.pipeline.files import InputError


def trial(k: int, score: float, precision: float = 0.9, training: int = 0) -> dict[str, float]:
    return {"k": k, "score": score, "precision": precision, "training": training}


def test_a_strict_trial_is_chosen_of_those_nearly_as_good_as_the_best():
    near = [trial(20, 1.0, 0.91), trial(10, 0.999, 0.93), trial(10, 0.991, 0.95), trial(3, 0.9901, 0.97)]
    strictest, worse = trial(5, 0.995, 0.99), trial(3, 0.989, 0.96)
    rows = [worse, near[2], strictest, near[0], near[3], near[1]]
    assert strict(rows) is near[3]
    assert strict([near[0], worse]) is near[0]


def test_the_default_stays_if_all_trials_score_nothing_which_is_said(caplog):
    rows = [trial(10, 0.0, 0.1), trial(5, 0.0, 0.9), trial(3, 0.0, 0.5)]
    for packaged in (False, True):
        assert chosen_of(rows, packaged) is rows[0]
        assert "all 3 trials score 0" in caplog.text
        caplog.clear()
    assert chosen_of([*rows, trial(3, 0.01)])["score"] == 0.01
    assert not caplog.text


@pytest.mark.parametrize(("own", "chosen"), [(0.8159, 1), (0.8161, 0), (0.7, 1)])
def test_the_packaged_model_is_taken_unless_another_scores_two_per_cent_more(own, chosen):
    rows = [trial(10, own), trial(10, 0.5), trial(10, 0.6, training=1), trial(10, 0.8, training=1)]
    assert training_of(rows, packaged=1) == chosen
    assert training_of(rows) == int(own < 0.8)


@pytest.mark.parametrize(("score", "stays"), [(0.8159, True), (0.8161, False)])
def test_the_packaged_settings_stay_unless_others_score_two_per_cent_more(score, stays, caplog):
    caplog.set_level("INFO")
    rows = [trial(10, 0.8), trial(5, 0.7), trial(3, score)]
    assert chosen_of(rows, packaged=True) is rows[0 if stays else 2]
    said = "the packaged model stays as it is: no other settings score 2 % more"
    assert (said in caplog.text) is stays
    caplog.clear()
    assert chosen_of(rows) is rows[2]  # settings of another backend, or of a model that was trained
    assert not caplog.text


def test_the_last_candidates_of_hilander_have_the_neighbours_of_the_strict_choice():
    results: list[dict[str, float]] = []
    for settings in candidates(HiLander(), 21, 0, results):
        results.append(settings | {"score": 1 - abs(settings["k"] - 10) / 9, "precision": settings["p_tau"]})
    assert {row["k"] for row in results[:16]} == {3, 5, 10, 20}
    assert {row["k"] for row in results[16:]} == {10}


def test_candidates_are_the_own_settings_then_any_then_some_near_the_best_and_near_the_strict_one():
    """The score rises to the end of the range of a; the strictest of the nearly best have b = 1."""
    clusterer = SimpleNamespace(search_space={"a": (0.0, 1.0), "b": [1, 2]}, a=0.25, b=2)
    results: list[dict[str, float]] = []
    for settings in candidates(clusterer, 41, 0, results):
        results.append(settings | {"score": settings["a"], "precision": 3 - settings["b"]})
    assert len(results) == 41
    assert (results[0]["a"], results[0]["b"]) == (0.25, 2)
    everywhere, best, chosen = results[1:21], results[21:31], results[31:]
    assert np.histogram([row["a"] for row in everywhere], 20, (0, 1))[0].tolist() == [1] * 20
    for rows, near in ((best, max(row["a"] for row in results[:21])), (chosen, strict(results[:31])["a"])):
        assert all(near - 0.1 <= row["a"] <= min(near + 0.1, 1) for row in rows)
    assert {row["b"] for row in best} == {1, 2}
    assert {row["b"] for row in chosen} == {1}


def test_tune_chooses_on_people_that_nothing_has_learned_from_and_learns_from_all_in_the_end(monkeypatch):
    class Learned(SimpleNamespace):
        learns, calibrated, pretrained, search_space = True, True, False, {"p": (0.0, 1.0)}

        @classmethod
        def learn(cls, embeddings, labels, seed, **way):
            return cls(people={*labels.tolist()}, way=way)

        def with_settings(self, **changed):
            return Learned(**vars(self) | changed)

    def tried(clusterers, faces, trials, seed):
        assert not any(each.people & {*faces.labels.tolist()} for each in clusterers)
        rows = [trial(1, 0.9, training=1), trial(1, 0.8, training=1), trial(1, 0.895, 0.99)]  # the last of another
        return [row | {"p": number} for number, row in enumerate(rows)]

    def calibrated(clusterer, faces, seed):
        assert (clusterer.p, clusterer.people & {*faces.labels.tolist()}) == (0, set())
        return SimpleNamespace(confidence="measured")

    for name, stub in (("class_of", lambda _: Learned), ("trials_of_all", tried), ("calibrate", calibrated)):
        monkeypatch.setattr(tuning, name, stub)
    found = tuning.tune("learned", np.eye(16), np.repeat(np.arange(8), 2), trainings=[{"a": 1}, {"a": 2}])
    assert (found.people, found.way, found.p, found.confidence) == (set(range(8)), {"a": 2}, 0, "measured")


def test_what_is_not_tuned_is_the_packaged_model(monkeypatch):
    """The score by default is of what the backend does without a model of the user's."""

    class Learned(SimpleNamespace):
        learns, calibrated, pretrained, search_space = True, False, True, {"p": (0.0, 1.0)}

        @classmethod
        def learn(cls, *_):
            return cls()

        @classmethod
        def from_pretrained(cls):
            return cls()

        def with_settings(self, **changed):
            return Learned(**vars(self) | changed)

    rows = [{"training": number // 2, "p": number, "score": 0.2 * number, "precision": 1.0} for number in range(4)]
    for name, stub in (("class_of", lambda _: Learned), ("trials_of_all", lambda *_: rows)):
        monkeypatch.setattr(tuning, name, stub)
    faces = np.eye(16), np.repeat(np.arange(8), 2)
    assert tuning.tune("learned", *faces).tuning_.untuned == rows[2]
    assert tuning.tune("learned", *faces, trainings=[{}, {}]).tuning_.untuned == rows[0]


def test_a_trial_has_the_harmonic_means_of_its_versions_by_hand(blobs, monkeypatch):
    figures = iter([(0.5, 1, 1 / 3), (0.25, 1, 1 / 5)])
    names = ("pairwise_f", "bcubed_f", "pairwise_precision")
    monkeypatch.setattr(tuning, "scores", lambda *_: dict(zip(names, next(figures), strict=True)))
    embeddings, labels = blobs(identities=4)
    held = [each.name for each in validation_versions(LabelledFaces(embeddings, labels), 3, 0)]
    assert held == ["whole", "tail", "large", "crowd", "mixed"]
    versions = [Version(name, KnnGraph.build(embeddings, 3), labels) for name in ("one", "two")]
    row = run_trial(Components(), {"min_similarity": 0.5}, versions, {})
    assert (row["score"], row["precision"]) == pytest.approx((4 / (2 + 1 + 4 + 1), 2 / (3 + 5)))
    assert (row["one_pairwise_f"], row["two_pairwise_f"], row["two_bcubed_f"]) == (0.5, 0.25, 1)


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


def test_a_version_that_a_backend_refuses_is_named(blobs, monkeypatch):
    embeddings, labels = blobs(identities=4)
    crowd = Version("crowd", KnnGraph.build(embeddings, 3), labels)
    alone = l2c.L2c(l2c.PairNetwork(embeddings.shape[1], 2), faces_per_cluster=1.0)
    monkeypatch.setattr(l2c, "MAX_CLUSTERS", 5)
    with pytest.raises(InputError, match=r"use another backend \(while it was tuned, on version crowd of"):
        run_trial(alone, {}, [crowd], {})
