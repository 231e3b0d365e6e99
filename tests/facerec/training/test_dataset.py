import cv2
import numpy as np
import pytest
from torch.utils.data import DataLoader

from facerec.pipeline.files import InputError, write_lines
from facerec.stores.open import open_store
from facerec.stores.pixels import resized
from facerec.training.augment import Augmentation
from facerec.training.dataset import Batches, slots
from facerec.training.options import TrainingData
from facerec.training.samplers import choose_sampler
from facerec.training.training_set import combine_stores, gather, say_unusual


@pytest.fixture
def faces(tmp_path, make_faces):
    return open_store(make_faces(tmp_path / "faces", identities=4, each=5))


def batches_of(training, batch_size, seed, *share):
    sampler = choose_sampler("random", training.label, training.store, batch_size, seed)
    return Batches(training, sampler, Augmentation(32, seed), *share)


def test_join_keeps_label_spaces_apart_and_leaves_unused_rows_out(faces):
    first = np.array([7, -1, 7, 3] + [-1] * 16)
    second = np.array([3, 3, 0, -1] + [-1] * 16)
    weights = np.array([0.5, 1, 0, 1] + [1] * 16, np.float32)
    joined = combine_stores([(faces, first, None), (faces, second, weights)])
    assert joined.label.tolist() == [1, 1, 0, 2, 2]
    assert joined.row.tolist() == [0, 2, 3, 0, 1]
    assert joined.store.tolist() == [0, 0, 0, 1, 1]
    assert joined.weight.tolist() == [1, 1, 1, 0.5, 1]
    assert (joined.classes, joined.first_classes) == (3, 2)


def test_pseudo_classes_of_labelled_people_join_their_classes(faces):
    first = np.array([7, -1, 7, 3, 9] + [-1] * 15)
    second = np.array([0, 1, 2, 2, 3, 1] + [-1] * 14)
    joined = combine_stores([(faces, first, None), (faces, second, None)], same_as=np.array([-1, 9, -1, 3]))
    zero = combine_stores([(faces, first - 3, None), (faces, second, None)], same_as=np.array([-1, 6, -1, 0]))
    assert zero.label.tolist() == joined.label.tolist()
    assert joined.label.tolist() == [1, 1, 0, 2, 3, 2, 4, 4, 0, 2]
    assert (joined.classes, joined.first_classes) == (5, 3)
    apart = combine_stores([(faces, first, None), (faces, second, None)], same_as=np.full(4, -1))
    assert np.array_equal(apart.label, combine_stores([(faces, first, None), (faces, second, None)]).label)
    with pytest.raises(InputError, match=r"same_as.npy names class 4, but no used labelled face has it"):
        combine_stores([(faces, first, None), (faces, second, None)], same_as=np.array([-1, 4, -1, 3]))


def test_labels_of_the_faces_in_another_order_are_refused(faces, tmp_path):
    (tmp_path / "pseudo").mkdir()
    np.save(tmp_path / "pseudo" / "labels.npy", np.arange(20) // 2)
    data = TrainingData(unlabelled=faces.path, pseudo_labels=tmp_path / "pseudo")
    write_lines(tmp_path / "pseudo" / "keys.txt", faces.keys)
    assert gather(data).classes == 10
    write_lines(tmp_path / "pseudo" / "keys.txt", reversed(faces.keys))
    with pytest.raises(InputError, match=r"pseudo: face '.*' is in row 0 there, but in row 19 of .*faces; both"):
        gather(data)


def test_files_beside_labels_that_do_not_count_are_told(faces, tmp_path, caplog):
    pseudo = tmp_path / "pseudo"
    pseudo.mkdir()
    np.save(pseudo / "labels.npy", np.arange(20) // 10)
    np.save(pseudo / "weights.npy", np.linspace(0, 1, 20, dtype=np.float32))
    np.save(pseudo / "same_as.npy", np.array([-1, 2]))
    assert len(gather(TrainingData(unlabelled=faces.path, pseudo_labels=pseudo))) == 19
    assert not caplog.text
    assert len(gather(TrainingData(unlabelled=faces.path, pseudo_labels=pseudo / "labels.npy"))) == 20
    assert "labels.npy: weights.npy and same_as.npy beside it do not count; give the folder" in caplog.text


def test_pseudo_classes_of_people_in_another_labelled_set_are_refused(faces, make_faces, tmp_path, caplog):
    """Those labels were numbered without person0, so that each number means the person before."""
    pseudo, unlabelled = tmp_path / "pseudo", make_faces(tmp_path / "unlabelled", identities=2, each=5)
    data = TrainingData(faces=faces.path, unlabelled=unlabelled, pseudo_labels=pseudo)
    pseudo.mkdir()
    np.save(pseudo / "labels.npy", np.arange(10) // 2)

    def gathered(numbers: list[int], keys: list[str]):
        np.save(pseudo / "same_as.npy", np.array(numbers))
        write_lines(pseudo / "same_as_keys.txt", keys)
        return gather(data)

    named = ["", "person1/00.png", "person2/00.png", "person3/00.png", ""]
    assert gathered([-1, 1, 2, 3, -1], named).classes == 6
    with pytest.raises(InputError, match=r"same_as_keys.txt: face 'person1/00.png' has label 0 there, but 1 in"):
        gathered([-1, 0, 1, 2, -1], named)
    with pytest.raises(InputError, match=r"same_as_keys.txt: face 'person0/00.png' has label 1 there, but 0 in"):
        gathered([1, -1, -1, -1, -1], ["person0/00.png", "", "", "", ""])
    assert gathered([-1, 1, 2, 0, -1], named).classes == 6  # one of them was relabelled since
    everybody = [f"person{person}/00.png" for person in (0, 1, 2, 3, 3)]
    assert gathered([0, 1, 2, 3, 3], everybody).label[20:].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 3, 3]
    assert caplog.messages == []
    assert gathered([-1, 1, -1, -1, -1], ["", "other.png", "", "", ""]).classes == 8
    assert "same_as_keys.txt: " in caplog.text
    assert "faces has none of these faces; do its labels mean the same people?" in caplog.text


def test_first_classes_of_a_store_without_used_faces_are_none(faces):
    joined = combine_stores([(faces, np.full(20, -1), None), (faces, np.arange(20), None)])
    assert (joined.classes, joined.first_classes) == (20, 0)


def test_join_refuses_a_single_class(faces):
    with pytest.raises(InputError, match="1 class"):
        combine_stores([(faces, np.zeros(20, np.int64), None)])


def test_classes_of_one_face_and_batches_beyond_the_faces_are_said(faces, caplog):
    some = np.repeat([-1, *range(6)], [4, 1, 1, 1, 3, 5, 5])
    say_unusual(combine_stores([(faces, some, None)]), 16)
    assert caplog.messages == []
    some[-10:-5] = -1
    say_unusual(combine_stores([(faces, some, None)]), 16)
    assert [message.split(",")[0] for message in caplog.messages] == [
        "3 of 5 classes have one face each", "11 faces",
    ]  # fmt: skip


def test_weights_count_as_the_float32_that_training_has(faces, tmp_path):
    """Below that a weight is 0, which leaves its face out; a batch of such faces would have no mean."""
    np.save(tmp_path / "labels.npy", np.arange(20) // 4)
    np.save(tmp_path / "weights.npy", np.where(np.arange(20) < 5, 1e-60, 1.0))
    data = TrainingData(unlabelled=faces.path, pseudo_labels=tmp_path)
    assert (len(gather(data)), gather(data).classes) == (15, 4)
    np.save(tmp_path / "weights.npy", np.where(np.arange(20) < 5, 1e300, 1.0))
    with pytest.raises(InputError, match="weights must be finite and not negative; found 1.0 to inf"):
        gather(data)


@pytest.mark.parametrize(("height", "width", "side"), [(48, 40, 48), (40, 48, 48), (48, 90, 64), (90, 66, 64)])
def test_oblong_faces_are_scaled_to_squares_as_for_embedding(tmp_path, height, width, side):
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    face = np.stack([rows, columns, rows], axis=2)
    for person in "ab":
        (tmp_path / person).mkdir()
        cv2.imwrite(str(tmp_path / person / "0.png"), face[..., ::-1])
    batches = batches_of(gather(TrainingData(tmp_path)), 2, 0)
    batches.augment = lambda shown, position: shown
    batches.augment.size = 32
    assert np.array_equal(batches[0][0], np.stack([resized(face, side)] * 2))


def test_photographs_that_are_no_crops_are_said(tmp_path, caplog):
    for number in range(4):
        (tmp_path / f"{number % 2}").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f"{number % 2}" / f"{number}.png"), np.zeros((90, 60, 3), np.uint8))
    say_unusual(gather(TrainingData(tmp_path)), 2)
    assert f"{tmp_path}: 4 of 4 pictures looked at are far from square (e.g. 60x90)" in caplog.text


def test_every_face_once_a_pass_in_an_order_of_its_own(faces):
    sampler = batches_of(combine_stores([(faces, faces.labels, None)]), 6, 1).sampler
    items = np.concatenate([sampler(step) for step in range(10)]).tolist()
    passes = [items[start : start + 20] for start in (0, 20, 40)]
    assert all(sorted(one) == list(range(20)) for one in passes)
    assert passes[0] != passes[1] != passes[2]


def test_batches_do_not_depend_on_workers_or_on_the_first_step(faces):
    training = combine_stores([(faces, faces.labels, None)])
    batches = batches_of(training, 6, 1)
    one = [batches[step] for step in range(5)]
    loader = DataLoader(batches_of(training, 6, 1), batch_size=None, sampler=range(2, 5), num_workers=2)
    for expected, (images, labels, weights, skipped) in zip(one[2:], loader, strict=True):
        assert np.array_equal(expected[0], images.numpy())
        assert np.array_equal(expected[1], labels.numpy())
        assert np.array_equal(expected[2], weights.numpy())
        assert skipped == []
    other = batches_of(training, 6, 2)[0]
    assert not np.array_equal(one[0][0], other[0])


def test_each_face_is_varied_by_its_place_among_all_that_training_sees(faces):
    """From twice the network's size at most."""
    training = combine_stores([(faces, faces.labels, None)])
    sampler = choose_sampler("random", training.label, training.store, 6, 1)
    augment = Augmentation(16, 1)
    images, *_ = Batches(training, sampler, augment)[2]
    for place, (item, image) in enumerate(zip(sampler(2), images, strict=True)):
        face = faces.read(int(training.row[item]))
        assert face.shape == (40, 40, 3)
        np.testing.assert_array_equal(image, augment(resized(face, 32), 12 + place))
    larger = Augmentation(24, 1)  # of which 40 pixels are not twice as many
    np.testing.assert_array_equal(
        Batches(training, sampler, larger)[0][0][0], larger(faces.read(int(training.row[sampler(0)[0]])), 0)
    )


def test_shares_of_ranks_are_the_batch_part_by_part(faces):
    training = combine_stores([(faces, faces.labels, None)])
    whole = batches_of(training, 12, 1)[3]
    shares = [batches_of(training, 12, 1, rank, 2, 3)[3] for rank in (0, 1)]
    assert slots(12, 1, 2, 3).tolist() == [2, 3, 6, 7, 10, 11]
    for array, one, other in zip(whole[:3], *(share[:3] for share in shares), strict=True):
        parts = [part for pair in zip(np.split(one, 3), np.split(other, 3), strict=True) for part in pair]
        assert np.array_equal(np.concatenate(parts), array)


def test_unreadable_face_is_replaced_by_the_next_and_listed(tmp_path, make_faces):
    folder = make_faces(tmp_path / "f", identities=4, each=1)
    (folder / "person2" / "00.png").write_bytes(b"broken")
    faces = open_store(folder)
    batches = batches_of(combine_stores([(faces, faces.labels, np.arange(1, 5))]), 4, 0)
    order = batches.sampler(0).tolist()
    images, labels, weights, skipped = batches[0]
    bad = order.index(2)
    expected = list(order)
    expected[bad] = order[(bad + 1) % 4]
    assert labels.tolist() == expected
    assert weights.tolist() == [item + 1 for item in expected]
    assert np.array_equal(images[bad], images[(bad + 1) % 4])
    assert skipped == [(str(folder), 2, "person2/00.png", "not a readable image")]


def test_batch_without_a_readable_face_is_empty(tmp_path, make_faces):
    folder = make_faces(tmp_path / "f", identities=2, each=1)
    for file in folder.rglob("*.png"):
        file.write_bytes(b"")
    faces = open_store(folder)
    images, labels, weights, skipped = batches_of(combine_stores([(faces, faces.labels, None)]), 2, 0)[0]
    assert len(images) == len(labels) == len(weights) == 0
    assert len(skipped) == 2


def test_augmentation_depends_on_seed_and_position_only():
    face = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    one, two = Augmentation(32, seed=1), Augmentation(32, seed=1)
    first = [one(face, position) for position in range(20)]
    again = [two(face, position) for position in reversed(range(20))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert first[0].shape == (32, 32, 3)
    assert first[0].dtype == np.uint8
    assert len({picture.tobytes() for picture in first}) == 20
    assert not np.array_equal(Augmentation(32, seed=2)(face, 0), first[0])


def test_augmentation_mirrors_half_of_the_faces():
    face = np.zeros((32, 32, 3), np.uint8)
    face[:, :16] = 200
    augment = Augmentation(32, seed=0)
    mirrored = sum(int(x[:, 20:].mean() > x[:, :12].mean()) for x in (augment(face, i) for i in range(200)))
    assert 85 < mirrored < 115


def test_augmentation_of_no_share_crops_and_mirrors_alone():
    """Faces of one grey stay as they are: nothing changes light, colour or sharpness, and no hole is cut."""
    face = np.full((40, 40, 3), (90, 120, 60), np.uint8)
    plain, often = (Augmentation(32, 0, share) for share in (0, 1))
    assert all((plain(face, position) == face[:32, :32]).all() for position in range(50))
    assert sum((often(face, position) != face[:32, :32]).any() for position in range(50)) > 25
    rising = np.tile(np.linspace(0, 255, 40).astype(np.uint8)[None, :, None], (40, 1, 3))  # from left to right
    straight, turned = ([augment(rising, position).astype(int) for position in range(50)] for augment in (plain, often))
    assert max(np.ptp(face, axis=0).max() for face in straight) <= 2  # of interpolation
    assert max(np.ptp(face, axis=0).max() for face in turned) > 10
    assert min(np.ptp(face) for face in straight) > 215  # of 255: a crop has 0.85 of the area, at least


def test_resized_averages_where_faces_shrink_much():
    stripes = np.zeros((96, 96, 3), np.uint8)
    stripes[:, ::3] = 255
    assert resized(stripes, 32).mean() == pytest.approx(85, abs=1)
    assert resized(stripes, 32).std() < 2
    assert resized(stripes, 96) is stripes
    small = cv2.resize(stripes, (20, 30))
    assert resized(small, 32).shape == (32, 32, 3)
