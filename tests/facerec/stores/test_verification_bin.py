"""Verification sets: read without running them, whatever the file does."""

import io
import os
import pickle
import random
import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerec.commands.bin import unpack
from facerec.pipeline.files import InputError
from facerec.stores.open import open_store
from facerec.stores.pixels import decode
from facerec.stores.verification_bin import read_bin


def encoded(seed, suffix=".jpg"):
    image = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return cv2.imencode(suffix, image)[1].tobytes()


IMAGES = [encoded(i, (".jpg", ".png")[i % 2]) for i in range(6)]
SAME = [True, False, True]
NUMPY = b"cnumpy.core.multiarray\n"
TEXT = b"X\x10\x27\x00\x00" + b"x" * 10_000 + b"X\x06\x00\x00\x00latin1\x86"  # and the coding, as arguments


@pytest.fixture
def real(data):
    file = data / "insightface_bin" / "small_lfw.bin"
    if not file.is_file():
        pytest.skip(f"no measuring data in {file}; set FACEREC_DATA")
    return file


def written(tmp_path, content):
    path = tmp_path / "set.bin"
    path.write_bytes(content)
    return path


def arrays(images):
    return [np.frombuffer(image, dtype=np.uint8) for image in images]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "content",
    [
        (IMAGES, SAME),
        [IMAGES, [1, 0, 1]],
        (arrays(IMAGES), SAME),
        ([np.array(image).view(np.int8) for image in arrays(IMAGES)], [np.bool_(x) for x in SAME]),
        ([image[:, None] for image in arrays(IMAGES)], SAME),  # as im2rec's buffers are
    ],
)
def test_what_pickle_writes_is_read_in_every_protocol(tmp_path, content, protocol):
    found = read_bin(written(tmp_path, pickle.dumps(content, protocol)))
    assert found == (IMAGES, SAME)


def test_bytearrays_are_read(tmp_path):
    path = written(tmp_path, pickle.dumps(([bytearray(image) for image in IMAGES], SAME), 5))
    assert read_bin(path) == (IMAGES, SAME)


def test_python_2_is_read(tmp_path):
    """Its strings are bytes: SHORT_BINSTRING and BINSTRING."""
    texts = b"".join(b"T" + struct.pack("<i", len(image)) + image for image in IMAGES)
    path = written(tmp_path, b"\x80\x02](" + texts + b"e](\x88I00\nI01\ne\x86.")
    assert read_bin(path) == (IMAGES, SAME)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("same", [np.array(SAME), np.array([1, 0, 1], np.int32), tuple(SAME)])
@pytest.mark.parametrize("images", [IMAGES, tuple(IMAGES), np.array(IMAGES, object)])
def test_pairs_and_images_as_arrays_or_tuples(tmp_path, images, same, protocol):
    assert read_bin(written(tmp_path, pickle.dumps((images, same), protocol))) == (IMAGES, SAME)


def test_python_2_in_protocol_0(tmp_path):
    """Its strings are STRING, with any byte above 127 as it is or escaped."""
    texts = "".join(f"S{repr(image)[1:]}\np1\na" for image in IMAGES)
    raw = b"(lp0\n" + texts.encode("latin1").replace(b"\\xff", b"\xff") + b"(lp2\nI01\naI00\naI01\na"
    assert read_bin(written(tmp_path, b"(" + raw + b"tp3\n.")) == (IMAGES, SAME)


def test_samples_of_other_writers(data):
    sample = data.parent / "faults" / "bin"
    if not sample.is_dir():
        pytest.skip(f"no samples at {sample}")
    for name in ("py2_p0.bin", "py3_nparray.bin"):
        images, same = read_bin(sample / name)
        assert len(images) == 2 * len(same)
        assert all(decode(image).shape == (112, 112, 3) for image in images)
        assert 0 < sum(same) < len(same)


def test_a_store_and_its_pairs(tmp_path):
    out = unpack(file=written(tmp_path, pickle.dumps((IMAGES, SAME))), out=tmp_path / "store")
    store = open_store(out)
    assert store.keys == [f"{i:06d}{('.jpg', '.png')[i % 2]}" for i in range(6)]
    assert store.labels is None
    np.testing.assert_array_equal(store.read(1), cv2.imdecode(np.frombuffer(IMAGES[1], np.uint8), 1)[..., ::-1])
    lines = (out / "pairs.tsv").read_text().splitlines()
    assert lines == ["000000.jpg\t000001.png\t1", "000002.jpg\t000003.png\t0", "000004.jpg\t000005.png\t1"]


def test_the_real_set(real, tmp_path):
    images, same = read_bin(real)
    assert (len(images), len(same)) == (20, 10)
    store = open_store(unpack(file=real, out=tmp_path / "store"))
    assert all(store.read(row).shape == (112, 112, 3) for row in range(20))


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "place", [lambda evil: evil, lambda evil: (IMAGES, [True, True, evil]), lambda evil: [evil, SAME]]
)
def test_code_is_not_run(tmp_path, protocol, place):
    marker = tmp_path / "ran"
    path = written(tmp_path, pickle.dumps(place(Evil(os.system, f"touch {marker}")), protocol))
    with pytest.raises(InputError, match="set.bin: it asks for (posix|nt).system, .*nothing was run"):
        read_bin(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not readable as a verification set"),
        (b"hello", "not readable as a verification set|is not of plain data"),
        (b"\x80\x03cbuiltins\neval\n.", "it asks for builtins.eval"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93.", "it asks for builtins.exec"),
        (b"\x80\x03cnumpy\nndarray\n)\x81.", "instruction NEWOBJ at byte"),
        (b"\x80\x03Pabc\n.", "instruction PERSID"),
        (b"\x80\x03\x82\x01.", "instruction EXT1"),
        (b"\x80\x03cnumpy\nloads\n.", "it asks for numpy.loads"),
        (b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f" + b"x.", "not readable as"),  # BINBYTES8 of 2^63 - 1 bytes
        (b"\x80\x03B\xff\xff\xff\x7fx.", "not readable as"),
        (b"\x80\x03K\x01r\xff\xff\xff\x7f.", "memo place 2147483647 at byte 4"),  # room for 2^31 would be made
        (
            b"\x80\x03" + NUMPY + b"_frombuffer\nJ\xff\xff\xff\x7f\x85R.",
            "missing 3 required positional arguments",
        ),  # bytes(2^31)
        (b"\x80\x03" + NUMPY + b"_reconstruct\n)b.", "not readable as"),  # BUILD of a name
        (b"\x80\x03" + NUMPY + b"dtype\nK\x01b.", "not readable as"),
        (b"\x80\x03cnumpy\nndarray\n)R.", "not callable"),
        (
            b"\x80\x03c_codecs\nencode\n" + TEXT.replace(b"\x06\x00\x00\x00latin1", b"\x05\x00\x00\x00utf-7") + b"R.",
            "utf-7",
        ),
        (b"\x80\x03]c_codecs\nencode\nq\x00" + TEXT + b"q\x01" + b"h\x00h\x01R" * 99 + b".", "again and again"),
        (b"\x80\x03" + b"(" * 100_000 + b"t" * 100_000 + b".", "something else than two lists"),
        (b"\x80\x03" + b"\x85" * 3 + b".", "not readable as"),
        (b"\x80\x03h\x05.", "not readable as"),
        (b"\x80\x03e.", "not readable as"),
        (b"\x80\x03K\x01(K\x02e.", "'int' object has no attribute 'append'"),
        (pickle.dumps((IMAGES, SAME))[:-1], "not readable as"),
        (pickle.dumps((IMAGES, SAME[:2])), "6 images for 2 pairs"),
        (pickle.dumps(([], [])), "0 images for 0 pairs"),
        (pickle.dumps((IMAGES, [True, False, 7])), "item 2 of the pairs is not a truth value"),
        (pickle.dumps((IMAGES, [True, False, "x"])), "item 2 of the pairs"),
        (pickle.dumps(([*IMAGES[:5], "text"], SAME)), "item 5 of the images has no bytes"),
        (pickle.dumps(([*IMAGES[:5], b""], SAME)), "item 5 of the images"),
        (pickle.dumps(([np.zeros(4), *IMAGES[1:]], SAME), 2), "item 0 of the images has no bytes"),
        (pickle.dumps(([IMAGES[0]] * 2000, [True] * 1000)), "far more than the file holds"),
        (pickle.dumps(([bytearray(10**6)] * 20_000, [True] * 10_000), 5), "far more than the file holds"),  # 20 GB
        (pickle.dumps({"images": IMAGES}), "something else than two lists"),
        (b"\x80\x03" + NUMPY + b"dtype\n}X\x01\x00\x00\x00aK\x01sb.", "the state of a function"),
    ],
)
def test_what_is_no_set_is_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=f"set.bin: .*({message})"):
        read_bin(written(tmp_path, content))


def test_other_bytes_than_images_are_refused_and_leave_nothing(tmp_path):
    path = written(tmp_path, pickle.dumps(([*IMAGES[:5], b"GIF89a"], SAME)))
    with pytest.raises(InputError, match="image 5 begins with 47494638; neither JPEG"):
        unpack(file=path, out=tmp_path / "store")
    assert not (tmp_path / "store").exists()
    with pytest.raises(InputError, match="no such file"):
        unpack(file=tmp_path / "nowhere.bin", out=tmp_path / "store")


def survives(path, content):
    """Reading it gives a set or an InputError, nothing else."""
    path.write_bytes(content)
    try:
        images, same = read_bin(path)
    except InputError:
        return False
    assert len(images) == 2 * len(same)
    return True


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_every_truncation_ends_in_an_error(tmp_path, protocol):
    content = pickle.dumps((arrays(IMAGES), SAME), protocol)
    path = tmp_path / "set.bin"
    cuts = random.Random(0).sample(range(len(content)), 200)
    assert not any(survives(path, content[:cut]) for cut in cuts)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_flipped_bits_never_crash(tmp_path, protocol):
    content, rng, path = pickle.dumps((arrays([b"abc"] * 6), SAME), protocol), random.Random(1), tmp_path / "set.bin"
    for _ in range(700):
        damaged = bytearray(content)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        survives(path, bytes(damaged))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_random_instructions_never_crash(tmp_path_factory, content):
    survives(tmp_path_factory.getbasetemp() / "random.bin", b"\x80\x02" + content + b".")


def test_a_large_set_does_not_take_long(tmp_path):
    images = [os.urandom(40) for _ in range(12_000)]
    buffer = io.BytesIO()
    pickle.dump((arrays(images), [True] * 6000), buffer, 3)
    assert len(read_bin(written(tmp_path, buffer.getvalue()))[0]) == 12_000
