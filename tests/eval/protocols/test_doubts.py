"""What is said about odd lists of comparisons."""

import numpy as np
import pytest

from eval.protocols.doubts import say_all_equal, say_chance, say_repeated_pairs


def line(row: int) -> str:
    return f"pairs.txt line {row + 1}"


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([(0, 1), (1, 2), (0, 2)], []),
        ([(0, 1), (1, 2), (0, 1), (0, 1)], ["pairs.txt line 3: this pair stands there before (2 such lines)"]),
        ([(0, 1), (2, 1), (1, 0), (1, 2)], ["pairs.txt line 3: this pair stands there before (2 such lines)"]),
        ([(0, 1), (2, 2), (3, 3)], ["pairs.txt line 2: compares something with itself (2 such lines)"]),
    ],
)
def test_repeated_pairs_and_pairs_of_one_are_named(pairs, said, caplog):
    say_repeated_pairs(line, *np.array(pairs, np.int32).T)
    assert [message.split(";")[0].split(", which")[0] for message in caplog.messages] == said


def test_equal_scores_are_said(caplog):
    say_all_equal(0.5, 0.6, 9, "emb")
    say_all_equal(0.5, 0.5, 1, "emb")
    assert caplog.messages == []
    say_all_equal(0.5, 0.5, 9, "emb")
    assert caplog.messages[0].startswith("emb: all 9 comparisons score 0.500000: the embeddings are all alike")


def test_genuine_pairs_that_score_as_impostors_are_said(caplog):
    say_chance(0.56, "emb")
    assert caplog.messages == []
    say_chance(0.02, "emb")
    assert caplog.messages[0].startswith("emb: genuine pairs score hardly higher than impostor pairs (AUC 0.020)")
