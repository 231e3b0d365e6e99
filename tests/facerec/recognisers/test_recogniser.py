import multiprocessing
import pickle

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

import facerec
from facerec.backbones import build
from facerec.commands.embed import embed
from facerec.commands.export import export
from facerec.pipeline.files import InputError
from facerec.recognisers.model_folder import save_model
from facerec.stores.pixels import resized

CONFIG = {"backbone": "mobilefacenet", "width": 0.125, "input_size": 32, "embedding_size": 16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model = tmp_path_factory.mktemp("recogniser") / "model"
    model.mkdir()
    torch.manual_seed(0)
    network = build("mobilefacenet", 16, 32, 0.125)
    network(torch.randn(16, 3, 32, 32))
    save_model(model, network, CONFIG)
    return model


@pytest.fixture(scope="module", params=["folder", "onnx"])
def model(request, folder):
    return folder if request.param == "folder" else export(model=folder, out=folder.parent / "onnx") / "model.onnx"


def pictures(*sizes):
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in sizes]


def test_embed_gives_what_the_command_gives(tmp_path, make_faces, model):
    faces = make_faces(tmp_path / "faces", identities=2, each=3)
    store = facerec.open_store(faces)
    cv2.setNumThreads(2)
    for flip in (True, False):
        out = embed(model=model, faces=faces, out=tmp_path / str(flip), flip=flip, batch_size=4, workers=0)
        recogniser = facerec.Recogniser.from_pretrained(str(model), device="cpu")
        found = recogniser.embed([store.read(row) for row in range(len(store))], flip=flip, batch_size=4)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, np.load(out / "embeddings.npy"))
        assert cv2.getNumThreads() == 2


def test_another_process_can_be_given_one(model, tmp_path, monkeypatch):
    monkeypatch.chdir(model.parent)
    recogniser = facerec.Recogniser.from_pretrained(model.name)
    content, faces = pickle.dumps(recogniser.embed), pictures((32, 32), (50, 40))
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(pickle.loads(content)(faces), recogniser.embed(faces))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_embeds_and_does_not_wait_for_threads_that_it_has_not(folder):
    recogniser, faces = facerec.Recogniser.from_pretrained(folder, device="cpu"), pictures(*[(32, 32)] * 16)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        recogniser.embed(faces)
        process = multiprocessing.get_context("fork").Process(target=recogniser.embed, args=(faces,))
        process.start()
        process.join(20)
        process.kill()
        process.join()
    finally:
        torch.set_num_threads(threads)
    assert process.exitcode == 0


def test_pictures_that_do_not_look_like_crops_are_said_once(folder, caplog):
    recogniser = facerec.Recogniser.from_pretrained(folder)
    recogniser.embed(pictures((32, 32), (112, 96), (112, 96)))
    assert not caplog.messages
    for _ in range(2):
        recogniser.embed(pictures((60, 90), (32, 32), (64, 48)))
    (said,) = caplog.messages
    assert said.startswith(f"{folder}: 2 of 3 pictures looked at are far from square (e.g. 90x60)")


def test_sizes_and_lengths(model):
    recogniser = facerec.Recogniser.from_pretrained(model)
    assert (recogniser.input_size, recogniser.embedding_size) == (32, 16)
    assert repr(recogniser) == f"<Recogniser {model}: faces of 32 x 32 pixels to 16 numbers>"
    mixed = pictures((32, 32), (50, 40), (200, 120), (7, 9))
    found = recogniser.embed(mixed)
    assert found.shape == (4, 16)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    same = np.stack([resized(picture, 32) for picture in mixed])
    np.testing.assert_allclose(recogniser.embed(same), found, atol=1e-6)
    np.testing.assert_allclose(recogniser.embed(same, batch_size=3), found, atol=1e-6)
    assert recogniser.embed([]).shape == (0, 16)


def test_flip_is_the_sum_with_the_mirrored_face(model):
    recogniser = facerec.Recogniser.from_pretrained(model)
    faces = np.stack(pictures((32, 32), (32, 32)))
    one, mirrored = (recogniser.unnormalised(x, flip=False) for x in (faces, faces[:, :, ::-1]))
    assert abs(one - mirrored).max() > 1e-4
    np.testing.assert_allclose(recogniser.unnormalised(faces), one + mirrored, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(recogniser.embed(faces), recogniser.embed(faces[:, :, ::-1]), atol=1e-5)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (pictures((32, 32))[0], "one picture of shape .32, 32, 3.; give a list"),
        (np.zeros((2, 32, 32, 3), np.float32), r"row 0: float32 \[32, 32, 3\]; expected uint8 RGB"),
        (np.zeros((2, 32, 32), np.uint8), "one picture of shape .2, 32, 32.; give a list"),
        ([*pictures((32, 32)), np.zeros((32, 32), np.uint8)], r"row 1: uint8 \[32, 32\]; expected"),
        (np.zeros((1, 3, 32, 32), np.uint8), r"row 0: uint8 \[3, 32, 32\]; expected"),
        (np.zeros((1, 0, 32, 3), np.uint8), r"row 0: uint8 \[0, 32, 3\]; expected"),
        (None, "None; give a list of pictures"),
        ("a.jpg", "'a.jpg'; give a list of pictures"),
    ],
)
def test_what_is_no_picture_is_refused(folder, images, message):
    with pytest.raises(InputError, match=f"images: {message}"):
        facerec.Recogniser.from_pretrained(folder).embed(images)


@pytest.mark.parametrize(
    ("faces", "found"),
    [
        (np.full((2, 32, 32, 3), 0.5), r"float64 \[2, 32, 32, 3\]"),  # whole numbers make it black
        (np.zeros((2, 48, 32, 3), np.uint8), r"uint8 \[2, 48, 32, 3\]"),
        (pictures((32, 32))[0], r"uint8 \[32, 32, 3\]"),
    ],
)
def test_unnormalised_takes_faces_of_the_size_of_the_network_alone(model, faces, found):
    recogniser = facerec.Recogniser.from_pretrained(model)
    with pytest.raises(InputError, match=rf"faces: {found}; expected uint8 RGB \[n, 32, 32, 3\], 0 to 255; embed"):
        recogniser.unnormalised(faces)
    given = pictures((32, 32), (32, 32))
    np.testing.assert_array_equal(recogniser.unnormalised(given), recogniser.unnormalised(np.stack(given)))
    assert recogniser.unnormalised(np.stack(given)[:0]).shape == (0, 16)


def test_of_a_pack_of_networks_the_recogniser_is_named(tmp_path):
    def write(name, size, outputs):
        values = [helper.make_tensor_value_info(each, TensorProto.FLOAT, ["n", 3, size, size]) for each in "xyz"]
        nodes = [helper.make_node("Identity", ["x"], [each]) for each in "yz"[:outputs]]
        graph = helper.make_graph(nodes, "g", values[:1], values[1 : 1 + outputs])
        onnx.save(helper.make_model(graph), tmp_path / name)

    for name, size, outputs in (("1k3d68.onnx", 192, 1), ("det.onnx", 112, 2), ("w600k.onnx", 112, 1)):
        write(name, size, outputs)
    with pytest.raises(InputError, match=r"give a folder that facerec train made, or .*w600k\.onnx$"):
        facerec.Recogniser.from_pretrained(tmp_path)
    write("w600k.onnx", 128, 1)
    with pytest.raises(InputError, match=r"made, or the recogniser among the \.onnx files in it$"):
        facerec.Recogniser.from_pretrained(tmp_path)


def test_what_is_no_recogniser_is_refused(folder, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"not onnx")
    for path, message in (
        (tmp_path / "nowhere", "nowhere: no such model; give a folder made by facerec train, an .onnx file, or"),
        (tmp_path / "bad.onnx", "bad.onnx: not readable as an ONNX network"),
        (tmp_path, "config.yaml: no such file; give a folder that facerec train made, or .*bad.onnx"),
    ):
        with pytest.raises(InputError, match=message):
            facerec.Recogniser.from_pretrained(path)
    with pytest.raises(InputError, match="--device 'tpu'; choose one of auto, cpu, cuda"):
        facerec.Recogniser.from_pretrained(folder, device="tpu")
    with pytest.raises(InputError, match="bad.onnx: --precision bf16 has no effect on a network in ONNX; leave it out"):
        facerec.Recogniser.from_pretrained(tmp_path / "bad.onnx", precision="bf16")
    with pytest.raises(InputError, match="--precision 'fp64'; choose one of auto, fp32, bf16"):
        facerec.Recogniser.from_pretrained(folder, precision="fp64")
    with pytest.raises(InputError, match="batch_size is 0; it must be a whole number from 1 on"):
        facerec.Recogniser.from_pretrained(folder).embed(pictures((32, 32)), batch_size=0)
    with pytest.raises(InputError, match="flip is 'no'; it must be True or False"):
        facerec.Recogniser.from_pretrained(folder).embed(pictures((32, 32)), flip="no")
    for given, message in (
        ({"model": None}, "model is None; give a path"),
        ({"settings": 3}, "settings is 3; expected"),
    ):
        with pytest.raises(InputError, match=message):
            facerec.Recogniser.from_pretrained(**{"model": folder, **given})
    with pytest.raises(InputError, match="path is 3; give a path"):
        facerec.open_store(3)


@pytest.mark.parametrize("device", ["cpu:x", "cpu:", "cuda:-1", "auto:3", "cuda:300x", None])
def test_what_is_no_device_is_refused(folder, device):
    with pytest.raises(InputError, match=f"--device {device!r}; choose one of auto, cpu, cuda$"):
        facerec.Recogniser.from_pretrained(folder, device=device)


@pytest.mark.parametrize(("device", "count", "found"), [("cuda:2", 2, "only 2"), ("cuda", 0, "no CUDA device")])
def test_a_gpu_that_is_not_there_is_refused(folder, monkeypatch, device, count, found):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(InputError, match=f"--device {device}, but PyTorch finds {found} here; use --device "):
        facerec.Recogniser.from_pretrained(folder, device=device)
