"""How a round is chosen: pairs of people whom nobody was trained on, and the first of the best."""

import json

import numpy as np
import pytest
import validation
from hypothesis import given, settings
from hypothesis import strategies as st

from facerec.pipeline.embeddings import load_embeddings, save_embeddings
from facerec.pipeline.files import InputError


def all_pairs(labels: np.ndarray, same: bool) -> set[tuple[int, int]]:
    """Every pair of known faces of one person, or of two."""
    return {
        (i, j)
        for j in range(len(labels))
        for i in range(j)
        if labels[i] >= 0 and labels[j] >= 0 and (labels[i] == labels[j]) == same
    }


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-1, 4), min_size=1, max_size=12).map(np.array), st.booleans(), st.integers(0, 99))
def test_pairs_drawn_often_enough_are_all_pairs(labels, same, seed):
    drawn = validation.draw_pairs(labels, same, 4000, np.random.default_rng(seed))
    assert sorted(map(tuple, drawn.tolist())) == sorted(all_pairs(labels, same))


def test_every_pair_is_equally_likely():
    labels, rng = np.array([7, 7, 7, 2, 2, 9]), np.random.default_rng(0)
    drawn = [tuple(validation.draw_pairs(labels, same, 1, rng)[0]) for same in (True, False) for _ in range(3000)]
    pairs, times = np.unique(drawn, axis=0, return_counts=True)
    shares = dict(zip(map(tuple, pairs.tolist()), times / 3000, strict=True))
    assert all(abs(shares[pair] - 1 / 4) < 0.04 for pair in all_pairs(labels, True))
    assert all(abs(shares[pair] - 1 / 11) < 0.03 for pair in all_pairs(labels, False))


def test_pairs_are_written_by_name_and_always_the_same(tmp_path):
    faces = tmp_path / "faces"
    faces.mkdir()
    rows = np.eye(6, dtype=np.float32)
    rows[5] = 0  # could not be read
    save_embeddings(faces, rows, [f"id/{i}.jpg" for i in range(6)], np.array([0, 0, 1, 1, -1, 0]))
    texts = []
    for out in ("one", "two"):
        validation.write_pairs(load_embeddings(faces), tmp_path / out)
        texts.append((tmp_path / out / "pairs.tsv").read_text())
    assert texts[0] == texts[1]
    lines = {tuple(sorted(line.split("\t")[:2])): line[-1] for line in texts[0].splitlines()}
    names = [f"id/{i}.jpg" for i in range(4)]
    different = {(names[i], names[j]): "0" for i in (0, 1) for j in (2, 3)}
    assert lines == different | {(names[0], names[1]): "1", (names[2], names[3]): "1"}
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["pairs.tsv"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [(None, "no keys.txt or no labels.npy"), ([0, 1, 2], "0 pairs of one person, 3 of two"),
     ([4, 4, 4], "3 pairs of one person, 0 of two")],
)  # fmt: skip
def test_faces_without_both_kinds_of_pairs_are_refused(tmp_path, labels, message):
    save_embeddings(
        tmp_path, np.eye(3, dtype=np.float32), ["a", "b", "c"], None if labels is None else np.array(labels)
    )
    with pytest.raises(InputError, match=message) as refused:
        validation.write_pairs(load_embeddings(tmp_path), tmp_path / "out")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_figures_are_written_and_logged(tmp_path, capsys):
    rows = {"labelled": 0.3, "b-round1-short": 0.1, "b-round2": 0.2}
    for name, fnmr in rows.items():
        (tmp_path / "rows" / name / "pairs").mkdir(parents=True)
        text = json.dumps({"fnmr_at_fmr": {"1e-3": fnmr}})
        (tmp_path / "rows" / name / "pairs" / "metrics.json").write_text(text)
    (tmp_path / "validation").mkdir()
    validation.write_figures(tmp_path, list(rows))
    assert "labelled 30.00, b-round1-short 10.00, b-round2 20.00\n" in capsys.readouterr().err
    assert json.loads((tmp_path / "validation" / "rounds.json").read_text()) == {"fnmr@1e-3": rows}
    with pytest.raises(InputError, match="b-round3/pairs/metrics.json: no such file"):
        validation.write_figures(tmp_path, ["b-round3"])
