"""The worst pairs: which they are, and how the page shows them."""

import re
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from eval.commands.compare import compare
from eval.commands.ijb import ijb
from eval.comparison.runs import load_runs
from eval.metrics.pair_scores import PairScores
from eval.report.worst_pairs import CANDIDATES, worst_pairs
from facerec.pipeline.files import InputError


def evaluation(scores, genuine, first, second, subject):
    listed = PairScores.of(np.float32(scores), np.array(genuine, bool))
    return SimpleNamespace(scores=listed, pairs=(np.array(first), np.array(second)), subject=np.array(subject))


def test_two_people_and_one_person_come_once():
    found = evaluation(
        scores=[0.9, 0.8, 0.7, 0.2, 0.1, 0.3],
        genuine=[0, 0, 0, 1, 1, 1],
        first=[0, 3, 0, 0, 1, 2],
        second=[2, 1, 4, 1, 0, 3],
        subject=[0, 0, 1, 1, 2],
    )
    assert worst_pairs(found, genuine=False, count=9).tolist() == [0, 2]  # 1 is of the same two people as 0
    assert worst_pairs(found, genuine=True, count=9).tolist() == [4, 5]
    assert worst_pairs(found, genuine=False, count=1).tolist() == [0]


def test_of_many_pairs_the_same_as_sorting_all_of_them():
    rng = np.random.default_rng(0)
    count = 3 * CANDIDATES
    first, second = rng.integers(0, 3000, (2, count))
    scores = rng.random(count).astype(np.float32)
    found = evaluation(scores, np.zeros(count), first, second, np.arange(3000))
    assert worst_pairs(found, genuine=False, count=8).tolist() == np.argsort(-scores)[:8].tolist()


@pytest.fixture
def row(tiny, tmp_path):
    return ijb(protocol=tiny / "protocol", embeddings=tiny / "embeddings", out=tmp_path / "row")


def test_the_page_shows_them_with_pictures_of_their_faces(row, tmp_path):
    (worst,) = [run.worst for run in load_runs([row])]
    assert [pair["kind"] for pair in worst] == ["impostor"] * 3 + ["genuine"] * 4
    assert worst[-1] == {
        "kind": "genuine", "score": "1.0", "first_template": "5", "second_template": "33", "first_face": "d0.jpg",
        "second_face": "pd.jpg",
    }  # fmt: skip
    (tmp_path / "thumbs").mkdir()
    encoded = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    (tmp_path / "thumbs" / "images.bin").write_bytes(2 * encoded)
    np.save(tmp_path / "thumbs" / "offsets.npy", np.arange(3) * len(encoded))
    (tmp_path / "thumbs" / "keys.txt").write_text("d0.jpg\nimg/pd.png\n")
    page = (compare(runs=[row], out=tmp_path / "out", thumbnails=tmp_path / "thumbs") / "report.html").read_text()
    assert "Genuine pairs with the lowest scores" in page
    shown = re.findall(r'<div>(<img src="data:image/jpeg;base64,[^"]*" alt="">)?<span class="soft">([\w/]+)\.jpg', page)
    assert {name for picture, name in shown if picture} == {"d0", "pd"}
    assert len(shown) == 14


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("worst.csv", "kind,score\nimpostor,1\n"),
        ("worst.csv", "kind,score,first_template,second_template,first_face,second_face\nimpostor,x,1,2,a,b\n"),
        ("scores.csv", "lowest,highest,genuine_pairs,impostor_pairs\n0,nan,1,2\n"),
        ("scores.csv", "lowest,highest,genuine_pairs,impostor_pairs\n0,1,2,nan\n"),
        ("worst.csv", "kind,score,first_template,second_template,first_face,second_face\nimpostor\n"),
        ("scores.csv", "lowest,highest\n0,1\n"),
    ],
)
def test_damaged_tables_are_refused(row, name, text):
    (row / name).write_text(text)
    with pytest.raises(InputError, match=name):
        load_runs([row])
