"""The table and the decisions of what was found, by hand.

Labels 10 to 50 are numbers 0 to 4. Face 4 of label 20 and face 9 of label 40 are other people. Face 1 of label 10 is
a stray of label 30, face 6 of label 30 nobody's. Labels 30 and 50 are one person.
"""

import csv

import numpy as np
import pytest

from clustering.cleaning.clean import Cleaned
from clustering.cleaning.findings import proposals, write_findings
from clustering.cleaning.people import Twins
from clustering.cleaning.strays import Strays


@pytest.fixture
def found():
    strays = np.zeros((3, 13))
    strays[:, 1], strays[:, 6], strays[:, 11] = (0.9, 2, 0.8), (0.6, 4, 0.2), (0.05, 0, 0.05)
    left, right, chance = np.array([(0, 1, 0.7), (3, 4, 0.8), (0, 5, 0.9), (2, 4, 0.95), (0, 2, 0.2), (1, 2, 0.05)]).T
    return Cleaned(
        given=np.array([0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 4, 4, -1]),
        names=np.array([10, 20, 30, 40, 50]),
        parted=np.array([0, 0, 1, 1, 5, 2, 2, 3, 3, 6, 4, 4, -1]),
        merged=np.array([0, 0, 1, 1, 5, 2, 2, 3, 3, 6, 2, 2, -1]),
        mixed=np.array([0, 0, 0, 0, 0.6, 0, 0, 0, 0, 0.8, 0, 0, 0]),
        twins=Twins(left.astype(int), right.astype(int), chance),
        strays=Strays(strays[0], strays[1].astype(int), strays[2]),
        least=0.5,
    )


def test_the_likeliest_of_each_kind_stand_first_and_the_unlikely_are_left_out(found, tmp_path):
    write_findings(tmp_path / "findings.csv", found, [f"{row}.png" for row in range(13)])
    lines = list(csv.reader((tmp_path / "findings.csv").read_text().splitlines()))
    assert lines == [
        ["kind", "probability", "found", "label", "other", "faces", "row", "key"],
        ["merged", "0.8000", "yes", "40", "52", "1", "", ""],
        ["merged", "0.6000", "yes", "20", "51", "1", "", ""],
        ["split", "0.9500", "yes", "30", "50", "2", "", ""],
        ["split", "0.9000", "yes", "10", "51", "1", "", ""],
        ["split", "0.8000", "yes", "40", "50", "2", "", ""],
        ["split", "0.7000", "yes", "10", "20", "2", "", ""],
        ["split", "0.2000", "", "10", "30", "2", "", ""],
        ["stray", "0.9000", "yes", "10", "30", "", "1", "1.png"],
        ["stray", "0.6000", "yes", "30", "", "", "6", "6.png"],
    ]


def test_decisions_are_of_the_given_labels_and_merge_no_label_that_is_split(found):
    found.strays.probability[4] = 0.9  # of a part that leaves its label anyway; no face is decided about twice
    assert proposals(found) == [
        {"action": "split", "cluster": 20, "parts": [[4]]},
        {"action": "split", "cluster": 40, "parts": [[9]]},
        {"action": "exclude_faces", "cluster": 10, "faces": [1]},
        {"action": "exclude_faces", "cluster": 30, "faces": [6]},
        {"action": "merge", "clusters": [30, 50]},
    ]


def test_strays_are_dropped_or_moved_to_people_of_the_set(found):
    assert found.labels().tolist() == [10, -1, 20, 20, 51, 30, -1, 40, 40, 52, 30, 30, -1]
    assert found.labels(move=True).tolist() == [10, 30, 20, 20, 51, 30, -1, 40, 40, 52, 30, 30, -1]
    expected = [1, 0.1, 1, 1, 0.4, 1, 0.4, 1, 1, 0.2, 1, 0.95, 0]
    np.testing.assert_allclose(found.confidence(), expected, rtol=1e-6)
