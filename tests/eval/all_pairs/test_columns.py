from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eval.all_pairs.columns import as_codes, read_columns, read_numbers, read_sessions
from facerec.pipeline.embeddings import EmbeddingSet
from facerec.pipeline.files import InputError, write_table

KEYS = ["ann/1.png", "ann/2.png", "bob/1.png", "bob/2.png"]
LABELS = np.array([0, 0, 1, -1])
FACES = EmbeddingSet(np.eye(4, dtype=np.float32), KEYS, LABELS, Path("faces"))
BARE = EmbeddingSet(FACES.embeddings, None, LABELS, Path("faces"))


def written(tmp_path, text, name="x.csv"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_lines_match_by_face_by_person_or_by_row(tmp_path, caplog):
    by_key = written(tmp_path, "Sex,key\nf,img/ann/2.png\nm,bob/1.png\nx,other.png\n")
    assert read_columns(by_key, FACES, LABELS) == {"sex": ["", "f", "m", ""]}
    assert (
        "x.csv: no line for 1 labelled face of 3, such as 'ann/1.png'; they have nothing in its columns" in caplog.text
    )
    caplog.clear()
    by_person = written(tmp_path, "identity\tsex\nann\tf\nbob\tm\n")
    assert read_columns(by_person, FACES, LABELS) == {"sex": ["f", "f", "m", "m"]}
    with_semicolons = written(tmp_path, "identity;sex\nann;f\nbob;m\nzoe;f\neve;m\n")
    assert read_columns(with_semicolons, FACES, LABELS) == {"sex": ["f", "f", "m", "m"]}
    deeper = EmbeddingSet(FACES.embeddings, [f"train/{key}" for key in KEYS], LABELS, Path("faces"))
    assert read_columns(by_person, deeper, LABELS) == {"sex": ["f", "f", "m", "m"]}
    unusual = written(tmp_path, "sex,image_id\nf,ann/2.png\nm,bob/1.png\nx,bob/2.png\nf,img/ann/1.png\n")
    assert read_columns(unusual, FACES, LABELS) == {"sex": ["f", "f", "m", "x"]}
    by_label = written(tmp_path, "label,sex\n0,f\n1,m\n")
    assert read_columns(by_label, BARE, LABELS) == {"sex": ["f", "f", "m", ""]}
    assert read_columns(written(tmp_path, "sex\nf\nf\nm\nm\n"), BARE, LABELS) == {"sex": ["f", "f", "m", "m"]}
    assert not caplog.text
    codes, words = as_codes(["m", "", "f", "m"])
    assert (codes.tolist(), words) == ([1, -1, 0, 1], ["f", "m"])


def test_tables_that_we_wrote_match_whatever_a_name_begins_with(tmp_path):
    keys = ["@ann/1.png", "-1.png", "=b.png", "+b.png"]
    write_table(tmp_path / "faces.csv", ("crop", "sex"), [(key, "fm"[row % 2]) for row, key in enumerate(keys)])
    faces = EmbeddingSet(FACES.embeddings, keys, LABELS, Path("faces"))
    assert read_columns(tmp_path / "faces.csv", faces, LABELS) == {"sex": ["f", "m", "f", "m"]}


def test_numbers_and_sessions(tmp_path, caplog):
    detected = written(
        tmp_path, "crop,photograph,found,score\n" + "".join(f"{key},p,1,.{i}\n" for i, key in enumerate(KEYS))
    )
    assert read_numbers(detected, FACES, LABELS, ("quality", "score")).tolist() == [0, 0.1, 0.2, 0.3]
    alone = written(tmp_path, "key,sharp\n" + "".join(f"{key},{i}\n" for i, key in enumerate(KEYS)))
    assert read_numbers(alone, FACES, LABELS, ("quality", "score")).tolist() == [0, 1, 2, 3]
    both = written(tmp_path, "key,score,quality\n" + "".join(f"{key},9,{i}\n" for i, key in enumerate(KEYS)))
    assert read_numbers(both, FACES, LABELS, ("quality", "score")).tolist() == [0, 1, 2, 3]
    np.save(tmp_path / "x.npy", np.arange(4))
    assert read_numbers(tmp_path / "x.npy", FACES, LABELS, ("quality",)).tolist() == [0, 1, 2, 3]
    assert read_sessions(tmp_path / "x.npy", FACES, LABELS).tolist() == [0, 1, 2, 3]
    np.save(tmp_path / "some.npy", np.array([-7, 0, 3, -1]))
    assert read_sessions(tmp_path / "some.npy", FACES, LABELS).tolist() == [-1, 0, 3, -1]
    assert "some.npy: 1 labelled face of 3 without a session; left out" in caplog.text
    caplog.clear()
    lines = written(tmp_path, "key,session\nann/1.png,b\nann/2.png,a\nbob/1.png,b\n")
    assert read_sessions(lines, FACES, LABELS).tolist() == [1, 0, 1, -1]
    assert not caplog.text
    some = written(tmp_path, "key,session\nann/1.png,b\nann/2.png,\nbob/1.png,b\n")
    assert read_sessions(some, FACES, LABELS).tolist() == [0, -1, 0, -1]
    assert "x.csv: 1 labelled face of 3 without a session; left out" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no lines below a header"),
        ("key,quality\n", "no lines below a header"),
        ("key\nann/1.png\n", "columns none but the key; name the one that counts 'quality'"),
        ("key,quality\nann/1.png,1,2\n", "line 2: 3 fields; the header has 2"),
        ("key,key\na,1\n", "columns 'key, key'; each needs its own name"),
        ("key,quality\nann/1.png,1\nann/1.png,2\n", "column 'key' has the same value twice"),
        ("key,quality\nx,1\n", "none of its 1 values in 'key' is a face of faces"),
        ("quality\n1\n2\n", "2 lines for 4 faces and no column 'key' or 'identity'"),
        ("key,a,b\nann/1.png,1,2\n", "columns a, b; name the one that counts 'quality'"),
        ("key,quality\nann/1.png,1\nann/2.png,good\nbob/1.png,1\n", "no finite number for face ann/2.png .1 of 4"),
        ('key,quality\n"ann/1.png,1\n', "not readable as CSV"),
    ],
)
def test_bad_tables_are_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=f"x.csv.*{message}"):
        read_numbers(written(tmp_path, text), FACES, LABELS, ("quality",))


def test_what_does_not_fit_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(3))
    for read in (read_sessions, lambda *given: read_numbers(*given, ("quality",))):
        with pytest.raises(InputError, match=r"3 (sessions|values) for 4 faces"):
            read(tmp_path / "x.npy", FACES, LABELS)
    with pytest.raises(InputError, match="no column 'session'; it has day"):
        read_sessions(written(tmp_path, "key,day\nann/1.png,1\n"), FACES, LABELS)
    with pytest.raises(InputError, match="x.csv: none of the 3 labelled faces has a session"):
        read_sessions(written(tmp_path, "key,session\nann/1.png,\n"), FACES, LABELS)
    with pytest.raises(InputError, match="none of its 1 values in 'person' is a person of faces"):
        read_columns(written(tmp_path, "person,sex\neve,f\n"), FACES, LABELS)
    with pytest.raises(InputError, match="no keys.txt; x.csv names faces by key"):
        read_columns(written(tmp_path, "key,day\nann/1.png,1\n"), BARE, LABELS)
    twice = replace(FACES, keys=["ann/1.png", "img/ann/1.png", "b", "c"])
    with pytest.raises(InputError, match="key 'ann/1.png' stands there more than once"):
        read_columns(written(tmp_path, "key,day\nann/1.png,1\n"), twice, LABELS)
