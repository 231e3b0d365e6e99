"""The sets that backends are compared on, read from an archive or from a run's folders."""

import backends
import numpy as np
import pytest

from facerec.pipeline.embeddings import save_embeddings
from facerec.pipeline.files import InputError

FACES = np.eye(6, dtype=np.float32)
LABELS = np.array([0, 0, 1, 1, 2, -1])


def test_an_archive_is_taken_as_it_is(tmp_path):
    np.savez(tmp_path / "faces.npz", embeddings=FACES, labels=LABELS)
    found = backends.read_set(tmp_path / "faces.npz")
    np.testing.assert_array_equal(found.embeddings, FACES)
    np.testing.assert_array_equal(found.labels, LABELS)


def test_of_a_folder_unreadable_faces_and_unknown_people_are_left_out(tmp_path):
    faces = FACES.copy()
    faces[4] = 0
    save_embeddings(tmp_path, faces)
    with pytest.raises(InputError, match=r"no labels.npy beside the embeddings"):
        backends.read_set(tmp_path)
    np.save(tmp_path / "truth.npy", LABELS)
    found = backends.read_set(tmp_path, tmp_path / "truth.npy")
    np.testing.assert_array_equal(found.embeddings, FACES[:4])
    np.testing.assert_array_equal(found.labels, LABELS[:4])
    again = backends.read_set(tmp_path / "embeddings.npy", tmp_path / "truth.npy")
    np.testing.assert_array_equal(again.labels, LABELS[:4])


def test_without_data_it_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["backends.py", "--tune", str(tmp_path / "none"), "--test", str(tmp_path)])
    backends.main()
    assert capsys.readouterr().out == f"skipped: no {tmp_path / 'none'}; give --tune and --test\n"
