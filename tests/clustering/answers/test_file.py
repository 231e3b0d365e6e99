"""The file of answers: read as written, refused where it is damaged."""

from __future__ import annotations

import numpy as np
import pytest

from clustering.answers.file import (
    DIFFERENT,
    SAME,
    UNSURE,
    Answers,
    answers_of,
    keys_hash,
    load_answers,
    save_answers,
)
from facerec.pipeline.files import InputError, write_json, write_lines

KEYS = ["a", "b", "c"]


def test_answers_are_read_as_written(tmp_path):
    file = tmp_path / "answers.json"
    answers = Answers(np.array([[0, 1], [1, 2], [0, 2]]), np.array([SAME, 0, UNSURE]), np.array([0.5, np.nan, 1]))
    for keys in (KEYS, None):
        save_answers(file, answers, keys)
        found = load_answers(file, 3, keys)
        for name in ("pairs", "answer", "log_odds"):
            np.testing.assert_array_equal(getattr(found, name), getattr(answers, name))
    known = found.constraints(3)
    assert (known.pairs.tolist(), known.same.tolist()) == ([[0, 1], [1, 2]], [True, False])


def test_saved_answers_fit_the_faces_among_others_unless_two_have_one_key(tmp_path):
    answers = Answers(np.array([[0, 1], [1, 2]]), np.array([SAME, DIFFERENT]), np.full(2, np.nan))
    save_answers(tmp_path / "unique.json", answers, KEYS)
    assert load_answers(tmp_path / "unique.json", 5, ["new", *reversed(KEYS), "z"]).pairs.tolist() == [[3, 2], [2, 1]]
    save_answers(tmp_path / "twice.json", answers, ["a", "b", "a"])
    assert load_answers(tmp_path / "twice.json", 3, ["a", "b", "a"]).pairs.tolist() == [[0, 1], [1, 2]]
    with pytest.raises(InputError, match="about other faces; .* cluster those with --answers first: answers.json"):
        load_answers(tmp_path / "twice.json", 4, ["a", "b", "a", "new"])


def test_the_labels_in_the_folder_of_a_clustering_have_its_answers(tmp_path):
    save_answers(tmp_path / "answers.json", Answers(np.array([[0, 1]]), np.array([SAME]), np.array([np.nan])), None)
    for clusters in (tmp_path, tmp_path / "labels.npy"):
        assert answers_of(clusters, 2, None).pairs.tolist() == [[0, 1]]
    assert not len(answers_of(tmp_path / "other.npy", 2, None))
    one = Answers(np.array([[0, 2]]), np.array([SAME]), np.array([np.nan]))
    save_answers(tmp_path / "answers.json", one, KEYS)
    write_lines(tmp_path / "keys.txt", KEYS)
    for keys in (None, KEYS, ["renamed", "b", "c"]):
        assert answers_of(tmp_path, 3, keys).pairs.tolist() == [[0, 2]]
    with pytest.raises(InputError, match="expected a row from 0 to 2, as these faces have no keys.txt; or give"):
        load_answers(tmp_path / "answers.json", 3, None)


def test_answers_about_faces_that_are_gone_are_left_out_unless_they_are_most(tmp_path, caplog):
    file = tmp_path / "answers.json"
    answers = Answers(np.array([[0, 1], [1, 2]]), np.array([SAME, DIFFERENT]), np.array([0.25, 0.5]))
    save_answers(file, answers, KEYS)
    left = load_answers(file, 2, ["c", "b"])
    assert (left.pairs.tolist(), left.answer.tolist(), left.log_odds.tolist()) == ([[1, 0]], [DIFFERENT], [0.5])
    assert f"{file}: 1 of 2 answers left out, about faces that are not here; answer 0: face 'a' is" in caplog.text
    with pytest.raises(InputError, match="answer 0: face 'a' is unknown; expected a key of the embeddings"):
        load_answers(file, 2, ["c", "d"])


def test_what_follows_from_answers_about_faces_that_are_gone_is_kept(tmp_path, caplog):
    pairs = np.array([[0, 1], [0, 2], [0, 3], [1, 4], [2, 4], [3, 5]])
    answers = Answers(pairs, np.array([SAME, SAME, DIFFERENT, UNSURE, UNSURE, UNSURE]), np.zeros(6))
    save_answers(tmp_path / "answers.json", answers, list("abcdef"))
    left = load_answers(tmp_path / "answers.json", 5, list("bcdef"))
    assert left.pairs[3:].tolist() == [[0, 1], [0, 2]]
    assert left.answer[3:].tolist() == [SAME, DIFFERENT]
    assert "3 of 6 answers left out" in caplog.text
    assert "expected a key of the embeddings; what follows from them is kept: 2 answers" in caplog.text
    torn = Answers(np.array([[0, 1], [0, 2], [1, 2], [3, 4], [3, 4]]), np.array([1, 1, 0, 2, 2]), np.zeros(5))
    save_answers(tmp_path / "answers.json", torn, list("abcde"))
    with pytest.raises(InputError, match="'b' and 'c' are different people, but the same through other answers"):
        load_answers(tmp_path / "answers.json", 4, list("bcde"))


def test_an_answer_is_unsure_where_one_identity_is_unknown():
    asked = Answers(np.array([[0, 1], [1, 2], [0, 2], [2, 3]]), np.full(4, UNSURE), np.zeros(4))
    assert asked.answered(np.array([-1, 5, 7, 7])).answer.tolist() == [UNSURE, DIFFERENT, UNSURE, SAME]


def test_decisions_that_are_about_clusters_alone_are_told(tmp_path, caplog):
    file = tmp_path / "decisions.json"
    actions = [{"action": "drop", "cluster": 1}, {"action": "name", "cluster": 0, "name": "Anna"}, {"action": "keep"}]
    write_json(file, {"answers": [], "clustering": "", "decisions": actions})
    load_answers(file, 3, None)
    assert "decisions.json: 1 dropped cluster and 1 name are no answers about pairs of faces" in caplog.text


def test_answers_by_rows_belong_to_the_faces_that_were_reviewed(tmp_path):
    file = tmp_path / "decisions.json"
    content = {
        "answers": [{"faces": [0, 2], "answer": "same"}],
        "faces": keys_hash(KEYS),
        "clustering": "",
        "decisions": [],
    }
    write_json(file, content)
    assert load_answers(file, 3, KEYS).pairs.tolist() == [[0, 2]]
    with pytest.raises(InputError, match="answers about other faces"):
        load_answers(file, 3, ["a", "b", "d"])
    write_json(file, {"clustering": "", "decisions": []})
    with pytest.raises(InputError, match="decisions about numbers of clusters alone"):
        load_answers(file, 3, KEYS)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (3, "not a file of answers"),
        ([{"faces": ["a", "b"]}], "answer 0: .* expected exactly 'faces' and 'answer'"),
        ([{"faces": ["a", "b"], "answer": "yes"}], "'yes'; expected one of different, same, unsure"),
        ([{"faces": ["a", "b"], "answer": "same", "log_odds": "x"}], "log_odds is x; expected a number"),
        ([{"faces": ["a", "x"], "answer": "same"}], "face 'x' is unknown; expected a key of the embeddings"),
        ([{"faces": ["a", 1], "answer": "same"}], "face '1' is unknown"),
        ([{"faces": ["a"], "answer": "same"}], "expected two"),
        ([{"faces": ["a", "a"], "answer": "same"}], "face 'a' twice"),
        ([{"faces": ["a", "b"], "answer": "same"}, {"faces": ["b", "a"], "answer": "different"}],
         "1 contradiction: 'b' and 'a' are different people, but the same"),
    ],
)  # fmt: skip
def test_files_that_are_refused(tmp_path, answers, message):
    write_json(tmp_path / "answers.json", {"answers": answers})
    with pytest.raises(InputError, match=message):
        load_answers(tmp_path / "answers.json", 3, KEYS)


def test_answers_by_keys_need_different_ones(tmp_path):
    write_json(tmp_path / "answers.json", {"answers": [{"faces": ["a", "b"], "answer": "same"}]})
    with pytest.raises(InputError, match="answers by key: key 'b' stands there more than once"):
        load_answers(tmp_path / "answers.json", 3, ["a", "b", "b"])


def test_answers_that_do_not_fit_their_pairs_are_refused():
    with pytest.raises(InputError, match=r"pairs, answer, log_odds: \[1, 2\], \[2\], \[1\]; expected shapes"):
        Answers(np.array([[0, 1]]), np.array([SAME, SAME]), np.zeros(1))
    with pytest.raises(InputError, match=r"answer: array\(\[7\]\); expected 0 \(different\), 1 \(same\) or 2"):
        Answers(np.array([[0, 1]]), np.array([7]), np.zeros(1))
    with pytest.raises(InputError, match="pairs: <U1; expected integers"):
        Answers([["a", "b"]], [SAME], [0.0])


def test_lists_are_answers_too():
    found = Answers([[0, 1], [1, 2]], [SAME, UNSURE], [0.5, float("nan")]).constraints(3)
    assert (found.together.tolist(), len(found)) == ([[0, 1]], 1)
