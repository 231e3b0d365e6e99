import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

# Two subjects in each gallery. Template ids are names, in no order. Template 70 has two media, one of them a
# video of two frames; subject 2 has two templates in G1.
FACES = """\
img/a0.jpg 70 1
img/a1.jpg 70 2
img/a2.jpg 70 2
b0.jpg 9 3
b1.jpg 31 4
c0.jpg 12 5
d0.jpg 5 6
pa.jpg 40 7
pb.jpg 2 8
pc.jpg 55 9
pd.jpg 33 10
"""
PAIRS = "70 40 1\n9 2 1\n12 55 1\n5 33 1\n70 2 0\n9 40 0\n12 33 0\n5 55 0\n31 55 0\n"
HEADER = "TEMPLATE_ID,SUBJECT_ID,FILENAME\n"
G1 = HEADER + "70,1,x\n70,1,y\n9,2,x\n31,2,x\n"
G2 = HEADER + "12,3,x\n5,4,x\n"
PROBES = HEADER + "40,1,x\n2,2,x\n55,3,x\n33,4,x\n"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A protocol, and one embedding a face of it: three faces of a subject point along its axis."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "protocol").mkdir()
    for name, text in [
        ("face_tid_mid.txt", FACES),
        ("template_pair_label.txt", PAIRS),
        ("1N_gallery_G1.csv", G1),
        ("1N_gallery_G2.csv", G2),
        ("1N_probe_mixed.csv", PROBES),
    ]:
        (folder / "protocol" / f"tiny_{name}").write_text(text)
    (folder / "embeddings").mkdir()
    np.save(folder / "embeddings" / "embeddings.npy", np.eye(4, dtype=np.float32)[[0, 0, 0, 1, 1, 2, 3, 0, 1, 2, 3]])
    return folder


@pytest.fixture
def protocol(tiny, tmp_path):
    return shutil.copytree(tiny / "protocol", tmp_path / "protocol")


@pytest.fixture
def embeddings(tiny, tmp_path):
    return shutil.copytree(tiny / "embeddings", tmp_path / "embeddings")


@pytest.fixture
def keys():
    return [line.split()[0] for line in FACES.splitlines()]


class Content(HTMLParser):
    """Of a page the cells of each table, row by row: text, and whether it is bold; and the captions of figures."""

    def __init__(self):
        super().__init__()
        self.tables, self.captions, self.inside, self.bold = [], [], "", False

    def handle_starttag(self, tag, attributes):
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append(["", False])
        elif tag == "figcaption":
            self.captions.append("")
        self.inside = tag if tag in ("td", "th", "figcaption") else self.inside
        self.bold |= tag == "b"

    def handle_endtag(self, tag):
        self.inside = "" if tag == self.inside else self.inside
        self.bold &= tag != "b"

    def handle_data(self, data):
        if self.inside == "figcaption":
            self.captions[-1] += data
        elif self.inside:
            cell = self.tables[-1][-1][-1]
            cell[0] += data
            cell[1] |= self.bold


@pytest.fixture(scope="session")
def read_page():
    """Reads a page, str, to its `Content`."""

    def read(html):
        found = Content()
        found.feed(html)
        return found

    return read
