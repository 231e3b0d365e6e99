import pickle

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from facerec.devices.device import autocast
from facerec.pipeline.files import InputError
from facerec.pipeline.pair_accuracy import FOLDS
from facerec.training.pair_validation import PairSet, fold_accuracy, read_pairs, validate

CPU = torch.device("cpu")


class Colours(nn.Module):
    """Embeds a face as its mean colour, in evaluation mode only."""

    def forward(self, faces):
        assert not self.training
        return faces.mean((2, 3))


def slow_accuracy(scores, same):
    """As `fold_accuracy`, by trying every threshold."""
    sizes = [len(scores) // FOLDS + (number < len(scores) % FOLDS) for number in range(FOLDS)]
    fold = [number for number, size in enumerate(sizes) for _ in range(size)]
    shares = []
    for number in range(FOLDS):
        others = [index for index, f in enumerate(fold) if f != number]
        mine = [index for index, f in enumerate(fold) if f == number]
        right = {
            threshold: sum((scores[index] >= threshold) == same[index] for index in others)
            for threshold in [*sorted({scores[index] for index in others}), np.inf]
        }
        best = [threshold for threshold, count in right.items() if count == max(right.values())]
        threshold = best[(len(best) - 1) // 2]
        shares.append(sum((scores[index] >= threshold) == same[index] for index in mine) / len(mine))
    return sum(shares) / FOLDS


def test_fold_accuracy_by_hand():
    same = np.array([True, False] * 10)
    assert fold_accuracy(np.where(same, 0.7, 0.3), same) == 1
    scores = np.where(same, 0.7, 0.3)
    scores[3] = 0.9  # one wrong of two in one of ten folds
    assert fold_accuracy(scores, same) == pytest.approx(0.95)
    assert fold_accuracy(np.zeros(20), same) == pytest.approx(0.5)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=FOLDS, max_size=40))
def test_fold_accuracy_is_that_of_every_threshold(pairs):
    scores, same = np.array([score / 4 for score, _ in pairs]), np.array([label for _, label in pairs])
    assert fold_accuracy(scores, same) == pytest.approx(slow_accuracy(scores.tolist(), same.tolist()))


def test_validation_embeds_faces_and_leaves_the_mode_alone(tmp_path, make_faces, make_bin):
    (pairs,) = read_pairs([make_bin(tmp_path / "set.bin", make_faces(tmp_path / "f", identities=4, each=4))])
    assert (pairs.name, len(pairs.images), pairs.same.sum()) == ("set", 40, 10)
    network = Colours().train()
    assert validate(network, pairs, 32, CPU, autocast(CPU)) == 1
    assert network.training
    swapped = PairSet("swapped", pairs.images, ~pairs.same)
    assert validate(network.eval(), swapped, 32, CPU, autocast(CPU)) < 0.6
    assert not network.training


class Pixels(nn.Module):
    """Embeds a face as its pixels."""

    def forward(self, faces):
        return faces.flatten(1)


def test_mirror_images_are_added():
    """A face and its mirror image become equal, and so more alike than a face and itself with noise."""
    random, images = np.random.default_rng(0), []
    for number in range(20):
        face = random.integers(30, 226, (16, 16, 3))
        noisy = face + random.integers(-30, 30, face.shape)
        images += [face, face[:, ::-1] if number % 2 else noisy]
    encoded = [cv2.imencode(".png", image.astype(np.uint8))[1].tobytes() for image in images]
    pairs = PairSet("mirrored", encoded, np.arange(20) % 2 == 1)
    assert validate(Pixels(), pairs, 16, CPU, autocast(CPU)) >= 0.95  # the lowest score is below the others


def test_sets_of_one_kind_of_pairs_are_said(tmp_path, make_faces, make_bin, caplog):
    file = make_bin(tmp_path / "set.bin", make_faces(tmp_path / "f", identities=4, each=4))
    images, same = pickle.loads(file.read_bytes())
    read_pairs([file])
    assert caplog.text == ""
    file.write_bytes(pickle.dumps((images, [True] * len(same))))
    read_pairs([file])
    assert "set.bin: 20 genuine of 20 pairs; its accuracy says little" in caplog.text


def test_insightface_sets_are_read(data):
    (pairs,) = read_pairs([data / "insightface_bin" / "small_lfw.bin"])
    assert (pairs.name, len(pairs.images), pairs.same.tolist()) == ("small_lfw", 20, [True] * 10)
    assert validate(Colours(), pairs, 112, CPU, autocast(CPU)) == 0.9  # the lowest score is below the others


def test_unusable_sets_are_refused(tmp_path, make_faces, make_bin):
    file = make_bin(tmp_path / "set.bin", make_faces(tmp_path / "f", identities=4, each=4))
    images, same = pickle.loads(file.read_bytes())
    (tmp_path / "other").mkdir()
    cases = [
        ((images[:10], same[:5]), "5 pairs; it needs 10"),
        (([*images[:7], b"\x89PNG no", *images[8:]], same), "image 7 cannot be read"),
    ]
    for content, text in cases:
        bad = tmp_path / "bad.bin"
        bad.write_bytes(pickle.dumps(content))
        with pytest.raises(InputError, match=text):
            read_pairs([bad])
    again = tmp_path / "other" / "set.bin"
    again.write_bytes(file.read_bytes())
    with pytest.raises(InputError, match="sets of one name"):
        read_pairs([file, again])
    with pytest.raises(InputError, match="no such file"):
        read_pairs([tmp_path / "absent.bin"])
