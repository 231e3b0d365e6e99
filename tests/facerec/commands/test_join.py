import csv
import subprocess
import sys

import numpy as np
import pytest

from facerec.__main__ import COMMANDS
from facerec.commands.join import concatenate
from facerec.pipeline.embeddings import load_embeddings, normalize, save_embeddings
from facerec.pipeline.files import InputError


@pytest.fixture
def sets(tmp_path):
    """Of six faces in 3 and 5 dimensions, with keys and labels."""
    random, keys = np.random.default_rng(0), [f"f{row}.jpg" for row in range(6)]
    for name, dimension in (("a", 3), ("b", 5)):
        (tmp_path / name).mkdir()
        rows = normalize(random.normal(size=(6, dimension)))
        save_embeddings(tmp_path / name, rows, keys, np.array([0, 0, 1, 1, 2, -1]))
    return [tmp_path / "a", tmp_path / "b"]


def test_cosines_are_the_mean_of_the_recognisers_cosines(tmp_path, sets):
    found = load_embeddings(concatenate(embeddings=sets, out=tmp_path / "o"))
    one, two = (load_embeddings(path).embeddings for path in sets)
    assert found.embeddings.shape == (6, 8)
    np.testing.assert_allclose(found.embeddings @ found.embeddings.T, (one @ one.T + two @ two.T) / 2, atol=1e-6)
    assert found.keys == load_embeddings(sets[0]).keys
    assert found.labels.tolist() == [0, 0, 1, 1, 2, -1]
    assert {file.name for file in (tmp_path / "o").iterdir()} == {
        "embeddings.npy", "keys.txt", "labels.npy", "skipped.csv", "meta.json",
    }  # fmt: skip


def test_hand_computed(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[1, 0], [0, 1]], np.float32))
    np.save(tmp_path / "b.npy", np.array([[1], [-1]], np.float32))
    half = np.sqrt(0.5)
    out = concatenate(embeddings=[tmp_path / "a.npy", tmp_path / "b.npy"], out=tmp_path / "o")
    np.testing.assert_allclose(np.load(out / "embeddings.npy"), [[half, 0, half], [0, half, -half]], atol=1e-7)


def test_a_face_that_one_lacks_is_skipped_and_listed(tmp_path, sets):
    rows = np.array(np.load(sets[1] / "embeddings.npy"))
    rows[3] = 0
    np.save(sets[1] / "embeddings.npy", rows)
    out = concatenate(embeddings=sets, out=tmp_path / "o")
    assert load_embeddings(out).readable.tolist() == [True, True, True, False, True, True]
    with (out / "skipped.csv").open() as file:
        assert list(csv.reader(file)) == [["row", "key", "reason"], ["3", "f3.jpg", f"no embedding in {sets[1]}"]]


def test_float16_in_and_out(tmp_path, sets):
    for path in sets:
        np.save(path / "embeddings.npy", np.load(path / "embeddings.npy").astype(np.float16))
    out = concatenate(embeddings=sets, out=tmp_path / "o", dtype="float16")
    found = np.load(out / "embeddings.npy")
    assert found.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(found.astype(np.float32), axis=1), 1, atol=2e-3)
    assert not list(out.glob("unit_*"))


def test_many_blocks(tmp_path, sets, monkeypatch):
    whole = np.load(concatenate(embeddings=sets, out=tmp_path / "whole") / "embeddings.npy")
    monkeypatch.setattr("facerec.recognisers.committee.BLOCK_ROWS", 4)
    np.testing.assert_array_equal(np.load(concatenate(embeddings=sets, out=tmp_path / "o") / "embeddings.npy"), whole)
    lacking = np.array(np.load(sets[0] / "embeddings.npy"))
    lacking[[1, 5]] = 0
    np.save(sets[0] / "embeddings.npy", lacking)
    lines = (concatenate(embeddings=sets, out=tmp_path / "p") / "skipped.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["row", "1", "5"]


def test_sets_without_names_take_those_there_are(tmp_path, sets):
    np.save(tmp_path / "c.npy", np.load(sets[1] / "embeddings.npy"))
    found = load_embeddings(concatenate(embeddings=[tmp_path / "c.npy", sets[0]], out=tmp_path / "o"))
    assert found.keys == load_embeddings(sets[0]).keys


def test_rows_in_another_order_are_said_where_no_keys_show_it(tmp_path, caplog):
    caplog.set_level("WARNING")
    random, person = np.random.default_rng(0), np.repeat(np.arange(20), 4)
    one, two = (normalize(random.normal(size=(20, 16))[person] + 0.5 * random.normal(size=(80, 16))) for _ in range(2))
    order, keys = random.permutation(80), [f"{row}.jpg" for row in range(80)]
    for name, rows, names in (("one", one, keys), ("two", two, keys), ("bare", two, None), ("mixed", two[order], None)):
        (tmp_path / name).mkdir()
        save_embeddings(tmp_path / name, rows, names)
    for other in ("two", "bare"):
        concatenate(embeddings=[tmp_path / "one", tmp_path / other], out=tmp_path / f"with_{other}")
    assert not caplog.text
    concatenate(embeddings=[tmp_path / "one", tmp_path / "mixed"], out=tmp_path / "with_mixed")
    assert "mixed: faces that are alike in" in caplog.text
    assert "is row i the same face in both?" in caplog.text


def test_other_faces_are_refused(tmp_path, sets):
    lines = [f"f{row}.jpg" for row in (0, 1, 3, 2, 4, 5)]
    (sets[1] / "keys.txt").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"keys f3.jpg in row 2, f2.jpg in"):
        concatenate(embeddings=sets, out=tmp_path / "o")
    (sets[1] / "keys.txt").unlink()
    np.save(sets[1] / "labels.npy", np.array([0, 0, 1, 1, 2, 3]))
    with pytest.raises(InputError, match="labels 3 in row 5, -1 in"):
        concatenate(embeddings=sets, out=tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_unusable_input_is_refused(tmp_path, sets, status_of, capsys):
    with pytest.raises(InputError, match="1 embedding set to join; give two or more"):
        concatenate(embeddings=sets[:1], out=tmp_path / "o")
    options = ["--embeddings", f"[{sets[0]}, {sets[1]}]", "--out", tmp_path / "o", "--dtype", "int8"]
    assert status_of(COMMANDS, ["join", *options]) == 2
    assert "--dtype: int8; expected one of float32, float16" in capsys.readouterr().err
    np.save(tmp_path / "short.npy", np.load(sets[0] / "embeddings.npy")[:5])
    with pytest.raises(InputError, match="5 embeddings for 6 faces"):
        concatenate(embeddings=[*sets, tmp_path / "short.npy"], out=tmp_path / "o")
    np.save(tmp_path / "none.npy", np.zeros((6, 2), np.float32))
    with pytest.raises(InputError, match="none of the 6 faces has an embedding in all of"):
        concatenate(embeddings=[*sets, tmp_path / "none.npy"], out=tmp_path / "o")


def test_from_the_shell(tmp_path, sets):
    names = f"[{sets[0]}, {sets[1]}]"
    command = [sys.executable, "-m", "facerec", "join", "--embeddings", names, "--out", str(tmp_path / "o")]
    subprocess.run(command, check=True)
    assert np.load(tmp_path / "o" / "embeddings.npy").shape == (6, 8)
