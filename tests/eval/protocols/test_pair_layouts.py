"""The same pairs in every layout."""

from pathlib import Path

import numpy as np
import pytest

from eval.protocols.names import find_rows
from eval.protocols.pair_list import load_pair_list, match_pairs
from facerec.pipeline.embeddings import EmbeddingSet
from facerec.pipeline.files import InputError

PAIRS = [(f"a{i}.jpg", f"b{i}.jpg", i % 2) for i in range(24)]


def written(tmp_path, text, name="pairs.txt"):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
    return tmp_path / name


LAYOUTS = {
    "tabs": "".join(f"{a}\t{b}\t{same}\n" for a, b, same in PAIRS),
    "blanks": "".join(f"{a} {b} {same}\n" for a, b, same in PAIRS),
    "csv": "".join(f"{a},{b},{same}\n" for a, b, same in PAIRS),
    "csv with a header": "image1,image2,label\n" + "".join(f"{a},{b},{same}\n" for a, b, same in PAIRS),
    "true or false": "".join(f"{a} {b} {bool(same)}\n" for a, b, same in PAIRS),
    "1 or -1": "".join(f"{a} {b} {2 * same - 1}\n" for a, b, same in PAIRS),
    "semicolons": "".join(f"{a};{b};{same}\n" for a, b, same in PAIRS),
    "with pandas' numbering": ",left,right,same\n"
    + "".join(f"{row},{a},{b},{same}\n" for row, (a, b, same) in enumerate(PAIRS)),
    "label first": "".join(f"{same} {a} {b}\n" for a, b, same in PAIRS),
    "two lines": "".join(f"{a} {same}\n{b} {same}\n" for a, b, same in PAIRS),
    "empty lines": "\n" + "".join(f"{a}\t{b}\t{same}\n \n" for a, b, same in PAIRS),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_same_pairs_in_every_layout(tmp_path, name):
    listed = load_pair_list(written(tmp_path, LAYOUTS[name]))
    assert list(zip(listed.first, listed.second, listed.same.tolist(), strict=True)) == [
        (a, b, bool(same)) for a, b, same in PAIRS
    ]
    assert np.bincount(listed.fold).tolist() in ([3, 3, 3, 3, 2, 2, 2, 2, 2, 2], [4, 4, *[2] * 8])
    assert not listed.known


def test_names_that_begin_as_headings_do_are_no_heading(tmp_path):
    lines = [f"image_{row} person_{row} {row % 2}" for row in range(12)]
    assert load_pair_list(written(tmp_path, "\n".join(lines))).first == [f"image_{row}" for row in range(12)]
    words = [f"left_{row} right_{row} {('same', 'different')[row % 2]}" for row in range(12)]
    assert len(load_pair_list(written(tmp_path, "\n".join(words))).first) == 12
    named = ["image1,image2,same", *(f"a{row},b{row},{('same', 'different')[row % 2]}" for row in range(12))]
    assert load_pair_list(written(tmp_path, "\n".join(named))).first == [f"a{row}" for row in range(12)]


def test_every_word_for_one_person_and_for_two(tmp_path):
    one, two = ["1", "+1", "1.0", "True", "yes", "same"], ["0", "-1", "0.0", "FALSE", "no", "different", "Diff"]
    lines = [f"a{row}.jpg\tb{row}.jpg\t{word}" for row, word in enumerate([*one, *two])]
    assert load_pair_list(written(tmp_path, "\n".join(lines))).same.tolist() == [True] * 6 + [False] * 7


@pytest.mark.parametrize("order", [("left", "right", "fold", "same"), ("fold", "label", "left", "right")])
def test_a_heading_says_which_column_is_which(tmp_path, order):
    rows = [
        {"left": a, "right": b, "same": same, "label": same, "fold": i // 2 % 2} for i, (a, b, same) in enumerate(PAIRS)
    ]
    lines = [",".join(order), *(",".join(str(row[name]) for name in order) for row in rows)]
    listed = load_pair_list(written(tmp_path, "\n".join(lines), "pairs.csv"))
    assert listed.first == [a for a, _, _ in PAIRS]
    assert listed.second == [b for _, b, _ in PAIRS]
    assert listed.same.tolist() == [bool(same) for _, _, same in PAIRS]
    assert listed.fold.tolist() == [row["fold"] for row in rows]


def test_calfw_has_the_folds_of_genuine_pairs(tmp_path):
    lines = [f"G_{i}.jpg {i // 2 + 1}" for i in range(40)] + [f"I_{i}.jpg 0" for i in range(40)]
    listed = load_pair_list(written(tmp_path, "\n".join(lines)))
    assert listed.fold[:20].tolist() == [*range(20)]
    assert listed.same.tolist() == [True] * 20 + [False] * 20
    assert set(listed.fold[20:].tolist()) == set(range(10))


def test_lfw_by_hand(tmp_path):
    """Two folds, each of two pairs of one person and two of two."""
    one = ["Ann\t1\t2", "Bob\t3\t12", "Ann\t1\tBob\t3", "Cy\t4\tAnn\t2"]
    two = ["Cy\t1\t2", "Ann\t3\t4", "Bob\t1\tCy\t2", "Bob\t2\tAnn\t1"]
    listed = load_pair_list(written(tmp_path, "\n".join(["2\t2", *one, *two])))
    assert [name[-8:] for name in listed.first[:4]] == ["Ann_0001", "Bob_0003", "Ann_0001", "/Cy_0004"]
    assert [name[-8:] for name in listed.second[:4]] == ["Ann_0002", "Bob_0012", "Bob_0003", "Ann_0002"]
    assert listed.same.tolist() == [True, True, False, False] * 2
    assert listed.fold.tolist() == [0] * 4 + [1] * 4
    assert listed.subjects.tolist() == [[0, 0], [1, 1], [0, 1], [2, 0], [2, 2], [0, 0], [1, 2], [1, 0]]
    assert (listed.known, listed.lines) == (True, [*range(2, 10)])
    for wrong in ("Bob\t3\tx", "Bob\t3\tCy\t1"):
        with pytest.raises(InputError, match="pairs.txt line 3: '.*'; expected a name and two numbers, separated by"):
            load_pair_list(written(tmp_path, "\n".join(["2\t2", one[0], wrong, *one[2:], *two])))


def test_lfw_s_development_lists_and_lists_without_first_line(tmp_path):
    """One number and no folds: ten are made, a tenth of either kind each."""
    genuine = [f"Ann\t{i}\t{i + 1}" for i in range(1, 21)]
    impostor = [f"Ann\t{i}\tBob\t{i}" for i in range(1, 21)]
    dev = load_pair_list(written(tmp_path, "\n".join(["20", *genuine, *impostor]), "pairsDevTest.txt"))
    bare = load_pair_list(written(tmp_path, "\n".join([*genuine, *impostor]), "bare.txt"))
    kaggle = "name,imagenum1,imagenum2,Unnamed: 3\n" + "\n".join(
        ",".join([*line.split("\t"), ""][:4]) for line in genuine + impostor
    )
    csv = load_pair_list(written(tmp_path, kaggle, "pairs.csv"))
    for listed in (dev, bare, csv):
        assert (listed.first[0], listed.second[0]) == ("Ann/Ann_0001", "Ann/Ann_0002")
        assert (listed.first[20], listed.second[20]) == ("Ann/Ann_0001", "Bob/Bob_0001")
        assert listed.fold.tolist() == np.repeat(range(10), 2).tolist() * 2
        assert listed.same.tolist() == [True] * 20 + [False] * 20
        assert listed.known


@pytest.fixture
def cfp(tmp_path):
    protocol = tmp_path / "Protocol"
    frontal = [f"{4 * p + i + 1} ../Data/Images/{p:03d}/frontal/{i:02d}.jpg" for p in range(3) for i in range(4)]
    written(protocol, "\n\n".join(frontal), "Pair_list_F.txt")
    written(protocol, "\n".join(line.replace("frontal", "profile") for line in frontal), "Pair_list_P.txt")
    for fold in ("01", "02"):
        for kind in ("FF", "FP"):
            written(protocol, "1,2\n\n5,6\n", f"Split/{kind}/{fold}/same.txt")
            written(protocol, "1,6\n9,2\n", f"Split/{kind}/{fold}/diff.txt")
    return protocol


def test_cfp(cfp, monkeypatch):
    listed = load_pair_list(cfp / "Split" / "FP")
    monkeypatch.chdir(cfp / "Split")
    assert load_pair_list(Path("FP")).first == listed.first
    assert listed.first[:3] == ["000/frontal/00.jpg", "001/frontal/00.jpg", "000/frontal/00.jpg"]
    assert listed.second[:3] == ["000/profile/01.jpg", "001/profile/01.jpg", "001/profile/01.jpg"]
    assert listed.same.tolist() == [True, True, False, False] * 2
    assert listed.fold.tolist() == [0] * 4 + [1] * 4
    assert listed.subjects[:4].tolist() == [[0, 0], [1, 1], [0, 1], [2, 0]]
    assert listed.known  # so that intervals are of people, not of pairs
    assert listed.lines == [1, 3, 1, 2] * 2
    assert load_pair_list(cfp / "Split" / "FF").second[0] == "000/frontal/01.jpg"
    with pytest.raises(InputError, match="give its folder Split/FF or Split/FP"):
        load_pair_list(cfp)
    (cfp / "Split" / "FP" / "02" / "same.txt").write_text("1,2\n1,99\n")
    with pytest.raises(InputError, match=r"02/same.txt line 2: '1,99'; expected two numbers of pictures"):
        load_pair_list(cfp / "Split" / "FP")
    written(cfp, "1 ../Data/Images/000/frontal/00.jpg\n2 a picture.jpg\n", "Pair_list_F.txt")
    with pytest.raises(InputError, match=r"Pair_list_F.txt line 2: '2 a picture.jpg'; expected a number and a path"):
        load_pair_list(cfp / "Split" / "FP")


def test_faces_match_by_name_then_without_suffix_then_by_file(tmp_path):
    listed = load_pair_list(written(tmp_path, LAYOUTS["blanks"]))
    keys = [f"x/{name[:-4]}.png" for pair in PAIRS for name in pair[:2]]
    embedded = EmbeddingSet(np.zeros((48, 2), np.float32), keys, None, tmp_path)
    first, second = match_pairs(listed, embedded)
    assert first.tolist() == [*range(0, 48, 2)]
    assert second.tolist() == [*range(1, 48, 2)]
    twice = EmbeddingSet(np.zeros((49, 2), np.float32), [*keys, "y/a3.png"], None, tmp_path)
    with pytest.raises(InputError, match=r"key 'a3' occurs twice \('x/a3.png' and 'y/a3.png'\); faces match by key"):
        match_pairs(listed, twice)


def test_a_face_without_embedding_is_not_taken_for_another_of_its_name(tmp_path):
    text = "front/1.jpg side/1.jpg 1\nfront/2.jpg side/2.jpg 1\n" + LAYOUTS["blanks"]
    listed = load_pair_list(written(tmp_path, text))
    keys = ["side/1.jpg", "front/2.jpg", "side/2.jpg", *(name for pair in PAIRS for name in pair[:2])]
    embedded = EmbeddingSet(np.zeros((len(keys), 2), np.float32), keys, None, tmp_path)
    with pytest.raises(InputError, match=r"line 1: face 'front/1.jpg' has no embedding in .*1 of 26 pairs lack one"):
        match_pairs(listed, embedded)
    embedded.keys[0] = "1.png"
    with pytest.raises(InputError, match=r"faces 'front/1.jpg' and 'side/1.jpg' would both be key '1.png'"):
        match_pairs(listed, embedded)
    embedded.keys[0] = "front/1.png"  # one of two by its name
    listed.second[0] = "b0.jpg"
    assert match_pairs(listed, embedded)[0][0] == 0


def test_a_picture_of_the_same_name_and_another_suffix_is_another_face(tmp_path):
    assert find_rows(["1.jpg", "2.jpg", "2.png"], ["1.png", "2.png"], tmp_path).tolist() == [0, -1, 1]
    with pytest.raises(InputError, match=r"faces '1.jpg' and '1.bmp' would both be key '1.png'"):
        find_rows(["1.jpg", "1.jpg", "1.bmp"], ["1.png"], tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.jpg 1\nb.jpg 1\nc.jpg 0\n", "3 lines; two lines make a pair"),
        ("a.jpg 1\nb.jpg 0\n", "line 2: 'b.jpg 0' after 'a.jpg 1'; expected a name and the same number"),
        ("a.jpg b.jpg 1\nc.jpg d.jpg maybe\n", "line 2: 'maybe'; expected 1 .one person. or 0"),
        ("a.jpg b.jpg c.jpg\n", "line 1: 'a.jpg b.jpg c.jpg'; expected the number of folds"),
    ],
)
def test_bad_lists_are_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=f"pairs.txt.*{message}"):
        load_pair_list(written(tmp_path, text))
