"""Two recognisers' embeddings are told apart by the notes in their folders."""

import logging
from pathlib import Path

import numpy as np

from facerec.pipeline.embeddings import EmbeddingSet
from facerec.pipeline.files import write_json
from facerec.pipeline.same_recogniser import check_recogniser, noted_recogniser


def faces_of(embeddings: np.ndarray, path: Path) -> EmbeddingSet:
    return EmbeddingSet(embeddings, None, None, path)


def test_two_recognisers_are_said(tmp_path, caplog):
    sets = []
    for name, model in (("a", "1"), ("b", "2"), ("c", "1"), ("d", None)):
        (tmp_path / name).mkdir()
        if model is not None:
            write_json(tmp_path / name / "meta.json", {"inputs": {"model": {"path": f"model{model}", "hash": model}}})
        sets.append(faces_of(np.eye(2, dtype=np.float32), tmp_path / name))
    write_json(tmp_path / "d" / "meta.json", ["no mapping"])
    with caplog.at_level(logging.WARNING):
        check_recogniser(sets[0], sets[2])
        check_recogniser(sets[0], sets[3])
        assert caplog.messages == []
        check_recogniser(sets[0], sets[1])
    assert "b: embedded by model2, but" in caplog.text
    assert "by model1; if these are two recognisers" in caplog.text


def test_two_ways_to_use_a_recogniser_are_said(tmp_path, caplog):
    embed = {"inputs": {"model": {"path": "model", "hash": "1"}}, "config": {"channels": "rgb", "flip": True}}
    white = {"inputs": {"people": {"path": "people", "hash": "2"}}, "results": {"whitened": True}}
    sets = {}
    for name, noted in (
        ("plain", embed),
        ("unflipped", embed | {"config": {"channels": "rgb", "flip": False}}),
        ("bgr", embed | {"config": {"channels": "bgr", "flip": True}}),
        ("white", white),
        ("white2", white),
        ("not_taken", white | {"results": {"whitened": False}}),
    ):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "meta.json", noted)
        sets[name] = faces_of(np.eye(2, dtype=np.float32), tmp_path / name)
    for one, other in (("plain", "unflipped"), ("white", "white2"), ("not_taken", "plain"), ("not_taken", "white")):
        check_recogniser(sets[one], sets[other])
    assert caplog.messages == []
    check_recogniser(sets["plain"], sets["bgr"])
    assert "bgr: embedded by model, channels bgr, but" in caplog.text
    check_recogniser(sets["white"], sets["plain"])
    assert "white whitened by people; if these are two recognisers, or two ways to use one" in caplog.text


def test_joined_sets_and_those_that_were_not_whitened_are_known_by_what_they_were_made_of(tmp_path, caplog):
    for name, model in (("a", "1"), ("b", "2"), ("none", "")):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "meta.json", {"inputs": {"model": {"path": f"model{model}", "hash": model}}})
    write_json(tmp_path / "none" / "meta.json", {})
    for name, parts in (("ab", "ab"), ("ab2", "ab"), ("ba", "ba"), ("like_a", "a")):
        (tmp_path / name).mkdir()
        noted = {"inputs": {}, "results": noted_recogniser([tmp_path / part for part in parts])}
        write_json(tmp_path / name / "meta.json", noted)
    sets = {name: faces_of(np.eye(2, dtype=np.float32), tmp_path / name) for name in ("a", "ab", "ab2", "ba", "like_a")}
    assert noted_recogniser([tmp_path / "a", tmp_path / "none"]) == {}
    check_recogniser(sets["ab"], sets["ab2"])
    check_recogniser(sets["a"], sets["like_a"])
    assert caplog.messages == []
    check_recogniser(sets["ab"], sets["ba"])
    assert "ba: joined: embedded by model2; embedded by model1, but" in caplog.text
    caplog.clear()
    check_recogniser(sets["ab"], sets["a"])
    assert "if these are two recognisers" in caplog.text
