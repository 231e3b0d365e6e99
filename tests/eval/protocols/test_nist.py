"""NIST's layout gives what insightface's gives, whatever the order of columns; its mistakes are named."""

import json

import numpy as np
import pytest

from eval.commands.ijb import ijb
from eval.protocols.open import load_protocol
from facerec.pipeline.files import InputError, write_lines

HEADER = "SUBJECT_ID,FACE_X,FACE_Y,FACE_WIDTH,FACE_HEIGHT,FILENAME,TEMPLATE_ID,MEDIA_ID\n"
# The protocol of conftest.py: subject, box, file, template, medium. img/c0.jpg shows two people.
ENROLL = """\
1,0,0,9,9,img/a0.jpg,70,1
1,0,0,9,9,frames/a1.png,70,2
1,0,0,9,9,frames/a2.png,70,2
2,0,0,9,9,img/b0.jpg,9,3
2,0,0,9,9,img/b1.jpg,31,4
3,0,0,9,9,img/c0.jpg,12,5
4,20,0,9,9,img/c0.jpg,5,5
"""
VERIF = """\
1,0,0,9,9,img/pa.jpg,40,7
2,0,0,9,9,img/pb.jpg,2,8
3,0,0,9,9,img/pc.jpg,55,9
4,0,0,9,9,img/pd.jpg,33,10
"""
MATCH = "VERIF_TEMPLATE_ID,ENROLL_TEMPLATE_ID\n40,70\n2,9\n55,12\n33,5\n2,70\n40,9\n33,12\n55,5\n55,31\n"
KEYS = [
    "img/a0.jpg", "frames/a1.png", "frames/a2.png", "img/b0.jpg", "img/b1.jpg", "img/c0.jpg#0,0,9,9",
    "img/c0.jpg#20,0,9,9", "img/pa.jpg", "img/pb.jpg", "img/pc.jpg", "img/pd.jpg",
]  # fmt: skip


@pytest.fixture
def nist(tmp_path):
    root = tmp_path / "nist"
    (root / "test1").mkdir(parents=True)
    (root / "test4").mkdir()
    lines = ENROLL.splitlines(keepends=True)
    for name, text in [
        ("test1/enroll_templates.csv", HEADER + ENROLL),
        ("test1/verif_templates.csv", HEADER + VERIF),
        ("test1/match.csv", MATCH),
        ("test4/gallery_G1.csv", HEADER + "".join(lines[:5])),
        ("test4/gallery_G2.csv", HEADER + "".join(lines[5:])),
        ("test4/probes.csv", HEADER + VERIF),
    ]:
        (root / name).write_text(text)
    return root


def noisy(embeddings):
    rows = np.load(embeddings / "embeddings.npy") + 0.7 * np.random.default_rng(0).standard_normal((11, 4))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    np.save(embeddings / "embeddings.npy", rows.astype(np.float32))


def test_both_layouts_give_the_same_figures(nist, protocol, embeddings, tmp_path):
    noisy(embeddings)
    ijb(protocol=protocol, embeddings=embeddings, out=tmp_path / "meta", bootstrap=20)
    write_lines(embeddings / "keys.txt", KEYS)
    ijb(protocol=nist, embeddings=embeddings, out=tmp_path / "csv", bootstrap=20)
    one, two = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("meta", "csv"))
    assert (one["template"].pop("layout"), two["template"].pop("layout")) == ("insightface", "nist")
    assert one == two


def test_the_names_of_the_release_give_the_same_figures(nist, embeddings, tmp_path):
    noisy(embeddings)
    write_lines(embeddings / "keys.txt", KEYS)
    ijb(protocol=nist, embeddings=embeddings, out=tmp_path / "tests")
    protocols = tmp_path / "IJB-C" / "protocols"
    protocols.mkdir(parents=True)
    for old, new in [
        ("test4/gallery_G1.csv", "ijbc_1N_gallery_G1.csv"),
        ("test4/gallery_G2.csv", "ijbc_1N_gallery_G2.csv"),
        ("test4/probes.csv", "ijbc_1N_probe_mixed.csv"),
    ]:
        (nist / old).rename(protocols / new)
    rows = [line.split(",") for line in MATCH.splitlines()[1:]]
    (protocols / "ijbc_11_G1_G2_matches.csv").write_text("".join(f"{enroll},{verif}\n" for verif, enroll in rows))
    ijb(protocol=tmp_path / "IJB-C", embeddings=embeddings, out=tmp_path / "release")
    one, two = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("tests", "release"))
    assert one == two
    (protocols / "ijbc_1N_probe_mixed.csv").unlink()
    with pytest.raises(InputError, match=r"expected one \*_1N_probe_mixed.csv in it or below it, found none"):
        load_protocol(tmp_path / "IJB-C")


def test_pairs_without_header_are_read(nist):
    before = load_protocol(nist).pairs
    rows = [line.split(",") for line in MATCH.splitlines()[1:]]
    (nist / "test1" / "match.csv").write_text("".join(f"{enroll},{verif}\n" for verif, enroll in rows))
    after = load_protocol(nist).pairs
    for name in ("first", "second", "genuine"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    assert before.where(0).endswith("match.csv line 2")
    assert after.where(0).endswith("match.csv line 1")


@pytest.mark.parametrize(
    ("line", "message"),
    [("55,x", "match.csv line 10: VERIF_TEMPLATE_ID is 'x'"), ("55", "match.csv line 10: 1 fields in '55'")],
)
def test_a_wrong_line_among_pairs_without_header_is_named(nist, line, message):
    rows = [",".join(reversed(row.split(","))) for row in MATCH.splitlines()[1:]]
    (nist / "test1" / "match.csv").write_text("\n".join([*rows, line]))
    with pytest.raises(InputError, match=message):
        load_protocol(nist)


def test_without_media_ids_and_boxes_every_file_is_a_medium(nist, caplog):
    caplog.set_level("INFO")
    for path in nist.rglob("*.csv"):
        if path.name != "match.csv":
            rows = [line.split(",") for line in path.read_text().splitlines()]
            path.write_text("".join(",".join([row[0], row[5], row[6]]) + "\n" for row in rows))
    faces = load_protocol(nist).faces
    assert faces.names.to_pylist()[5:7] == ["img/c0.jpg", "img/c0.jpg"]
    assert len(set(faces.media[:3].tolist())) == 3
    assert "no MEDIA_ID: every file is a medium of its own" in caplog.text
    assert faces.media[5] == faces.media[6]


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("test1/match.csv", "55,31", "55,32", "match.csv line 10: template 32 has no faces in the protocol"),
        ("test1/match.csv", "VERIF_TEMPLATE_ID,", "VERIF,", "match.csv: no column VERIF_TEMPLATE_ID"),
        ("test1/match.csv", "2,70\n40,9\n33,12\n55,5\n55,31\n", "", "match.csv: no impostor pair"),
        ("test4/gallery_G2.csv", "4,20,0,9,9,img/c0.jpg,5,5", "1,20,0,9,9,img/c0.jpg,5,5", "template 5 is of subject"),
        (
            "test4/gallery_G2.csv",
            "img/c0.jpg,5,5",
            "img/c9.jpg,5,5",
            "gallery_G2.csv: template 5 has other faces than in",
        ),
        ("test4/gallery_G1.csv", "1,0,0,9,9,frames/a2.png,70,2\n", "", "gallery_G1.csv: template 70 has other faces"),
        ("test4/probes.csv", ",33,10", ",33,x", "probes.csv line 5: MEDIA_ID is 'x'"),
        ("test1/enroll_templates.csv", "FILENAME", "FILE", "no column FILENAME"),
        ("test1/enroll_templates.csv", "1,0,0,9,9,frames/a2", "1,0,0,9,9,frames/a1", "other faces than in"),
    ],
)
def test_mistakes_are_named(nist, name, old, new, message):
    text = (nist / name).read_text()
    assert old in text
    (nist / name).write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        load_protocol(nist)


def test_columns_that_one_file_lacks_are_told(nist, caplog):
    load_protocol(nist)
    assert not caplog.text
    probes = nist / "test4" / "probes.csv"
    probes.write_text("\n".join(",".join(line.split(",")[5:7] + line.split(",")[:1]) for line in
                                (HEADER + VERIF).splitlines()))  # fmt: skip
    load_protocol(nist)
    assert "probes.csv: no FACE_X, FACE_Y, FACE_WIDTH, FACE_HEIGHT, but " in caplog.text
    assert "probes.csv: no MEDIA_ID, but " in caplog.text
    assert "enroll_templates.csv has; columns that a file lacks count in none" in caplog.text
    assert "'img/c0.jpg' is in templates of subjects 3 and 4 (1 such face); both have its embedding" in caplog.text


def test_a_face_twice_in_a_template_is_named(nist):
    for path in nist.rglob("*.csv"):
        path.write_text(path.read_text().replace("frames/a2", "frames/a1"))
    with pytest.raises(InputError, match="templates.csv line 4: face 'frames/a1.png' is in template 70 twice"):
        load_protocol(nist)


def test_missing_files_and_keys_are_named(nist, embeddings, tmp_path):
    with pytest.raises(InputError, match="no keys.txt; in this layout faces match by name"):
        ijb(protocol=nist, embeddings=embeddings, out=tmp_path / "out")
    write_lines(embeddings / "keys.txt", [key.replace("pb", "px") for key in KEYS])
    with pytest.raises(InputError, match=r"verif_templates.csv line 3: face 'img/pb.jpg' has no embedding in"):
        ijb(protocol=nist, embeddings=embeddings, out=tmp_path / "out")
    (nist / "test4" / "probes.csv").rename(nist / "test4" / "probe.csv")
    with pytest.raises(InputError, match="expected one probes.csv in it or below it, found none"):
        load_protocol(nist)


def test_one_gallery_or_none_will_do(nist):
    whole = load_protocol(nist)
    (nist / "test4" / "gallery_G1.csv").unlink()
    one = load_protocol(nist)
    assert list(one.galleries) == ["G2"]
    np.testing.assert_array_equal(one.galleries["G2"].template, whole.galleries["G2"].template)
    (nist / "test4" / "gallery_G2.csv").unlink()
    with pytest.raises(InputError, match=r"expected one gallery_G1.csv in it or below it, found none"):
        load_protocol(nist)
    (nist / "test4" / "probes.csv").unlink()
    pairs = load_protocol(nist)
    assert (pairs.galleries, pairs.probes, pairs.searched) == ({}, None, [])
    np.testing.assert_array_equal(pairs.pairs.genuine, whole.pairs.genuine)


def test_other_headers_delimiters_and_ids_are_read(nist):
    whole = load_protocol(nist)
    for path in nist.rglob("*.csv"):
        lines = [line.split(",") for line in path.read_text().splitlines()]
        head = ["\ufeff" + lines[0][0].lower(), *map(str.lower, lines[0][1:])]
        rows = [[f"{cell}.0" if cell.isdigit() else cell for cell in line] for line in lines[1:]]
        path.write_text("".join("\t".join(line) + "\n" for line in [head, *rows]), encoding="utf-8")
    other = load_protocol(nist)
    assert other.faces.names.to_pylist() == whole.faces.names.to_pylist()
    for one, two in ((other.faces, whole.faces), (other.probes, whole.probes)):
        np.testing.assert_array_equal(one.template, two.template)
    np.testing.assert_array_equal(other.pairs.first, whole.pairs.first)
    np.testing.assert_array_equal(other.faces.media, whole.faces.media)
