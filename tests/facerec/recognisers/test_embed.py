import csv
import json
import multiprocessing
import os
import socket
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from facerec.backbones import build
from facerec.commands.embed import embed
from facerec.pipeline.embeddings import load_embeddings
from facerec.pipeline.files import InputError, ObstacleError
from facerec.recognisers.embedding_run import FaceBlocks
from facerec.recognisers.model_folder import load_model, save_model
from facerec.stores.folder import write_list
from facerec.stores.open import open_store


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    torch.manual_seed(0)
    network = build("mobilefacenet", 16, 32, 0.125)
    network(torch.randn(16, 3, 32, 32))
    save_model(folder, network, {"backbone": "mobilefacenet", "width": 0.125, "input_size": 32, "embedding_size": 16})
    return folder


def test_rows_are_the_store_s_and_of_unit_length(tmp_path, make_faces, model):
    faces = make_faces(tmp_path / "f", identities=3, each=3)
    found = load_embeddings(embed(model=model, faces=faces, out=tmp_path / "e", batch_size=4, workers=0))
    store = open_store(faces)
    assert found.embeddings.shape == (9, 16)
    assert found.keys == store.keys
    assert found.labels.tolist() == store.labels.tolist()
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1, atol=1e-6)


def test_flip_adds_the_mirrored_face(tmp_path, model):
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    (tmp_path / "f").mkdir()
    cv2.imwrite(str(tmp_path / "f" / "a.png"), picture)
    cv2.imwrite(str(tmp_path / "f" / "b.png"), picture[:, ::-1])
    both = load_embeddings(embed(model=model, faces=tmp_path / "f", out=tmp_path / "both", workers=0)).embeddings
    one = load_embeddings(
        embed(model=model, faces=tmp_path / "f", out=tmp_path / "one", flip=False, workers=0)
    ).embeddings
    np.testing.assert_allclose(both[0], both[1], atol=1e-5)
    assert abs(one[0] - one[1]).max() > 1e-3


def test_batches_and_workers_do_not_matter(tmp_path, make_faces, model):
    faces = make_faces(tmp_path / "f", identities=3, each=3)
    one = load_embeddings(embed(model=model, faces=faces, out=tmp_path / "a", batch_size=2, workers=0)).embeddings
    two = load_embeddings(embed(model=model, faces=faces, out=tmp_path / "b", batch_size=9, workers=2)).embeddings
    np.testing.assert_allclose(one, two, atol=1e-5)


def test_norms_are_the_lengths_that_rows_had(tmp_path, make_faces, model):
    faces = make_faces(tmp_path / "f", identities=2, each=3, size=32)
    (faces / "person0" / "01.png").write_bytes(b"broken")
    out = embed(model=model, faces=faces, out=tmp_path / "e", flip=False, workers=0)
    norms, rows = np.load(out / "norms.npy"), np.load(out / "embeddings.npy")
    assert norms.dtype == np.float32
    assert norms[1] == 0
    kept = [0, 2, 3, 4, 5]
    pictures = torch.tensor(np.stack([open_store(faces).read(row) for row in kept])).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = load_model(model)[0]((pictures - 127.5) / 127.5).numpy()
    np.testing.assert_allclose(norms[kept], np.linalg.norm(expected, axis=1), rtol=1e-4)
    np.testing.assert_allclose(norms[kept, None] * rows[kept], expected, atol=1e-4)


def test_bf16_is_near(tmp_path, make_faces, model):
    faces = make_faces(tmp_path / "f", identities=3, each=3)
    one, two = (
        np.load(embed(model=model, faces=faces, out=tmp_path / name, precision=name, workers=0) / "embeddings.npy")
        for name in ("fp32", "bf16")
    )
    assert not np.array_equal(one, two)
    assert (one * two).sum(1).min() > 0.999


def contents(out):
    return {file.name: file.read_bytes() for file in out.iterdir() if file.name != "meta.json"}


class Interrupted(Exception):  # noqa: N818 (it is no error)
    pass


def interrupted(monkeypatch, block, **arguments):
    """Embeds until a block is to be read; gives the folder in which it was done."""
    read = FaceBlocks.__getitem__

    def until(self, number):
        if number == block:
            raise Interrupted
        return read(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(FaceBlocks, "__getitem__", until)
        with pytest.raises(Interrupted):
            embed(**arguments)
    return arguments["out"].with_name(arguments["out"].name + ".partial")


def blocks_read(monkeypatch, **arguments):
    """The blocks that are read for an embedding set."""
    numbers, read = [], FaceBlocks.__getitem__

    def noting(self, number):
        numbers.append(number)
        return read(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(FaceBlocks, "__getitem__", noting)
        embed(**arguments)
    return numbers


def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(tmp_path, make_faces, model, monkeypatch):
    monkeypatch.setattr("facerec.recognisers.embedding_run.NOTED_BLOCKS", 2)
    faces = make_faces(tmp_path / "f", identities=4, each=5)
    for broken in ("person0/01.png", "person2/04.png", "person3/00.png"):
        (faces / broken).write_bytes(b"broken")
    options = {"model": model, "faces": faces, "batch_size": 3, "workers": 0}
    whole = embed(**options, out=tmp_path / "whole")
    left = interrupted(monkeypatch, 5, **options, out=tmp_path / "e")
    assert np.load(left / "finished_3.npy").tolist() == [True] * 4 + [False] * 3
    assert blocks_read(monkeypatch, **options, out=tmp_path / "e") == [4, 5, 6]
    assert contents(tmp_path / "e") == contents(whole)
    assert not left.exists()


def test_faces_that_are_gone_in_the_midst_leave_what_is_done(tmp_path, make_faces, model, monkeypatch):
    monkeypatch.setattr("facerec.recognisers.embedding_run.NOTED_BLOCKS", 1)
    faces = make_faces(tmp_path / "f", identities=4, each=5)
    (faces / "person0" / "01.png").write_bytes(b"broken")
    options = {"model": model, "faces": faces, "workers": 0, "batch_size": 4}
    whole = embed(**options, out=tmp_path / "whole")
    read = FaceBlocks.__getitem__

    def gone(self, number):
        if number == 3:
            faces.rename(tmp_path / "elsewhere")
        return read(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(FaceBlocks, "__getitem__", gone)
        with pytest.raises(
            ObstacleError, match="f: its pictures cannot be reached any more, as on a drive that is gone"
        ):
            embed(**options, out=tmp_path / "e")
    (tmp_path / "elsewhere").rename(faces)
    assert blocks_read(monkeypatch, **options, out=tmp_path / "e") == [3, 4]
    assert contents(tmp_path / "e") == contents(whole)


def test_a_run_with_other_batches_begins_anew(tmp_path, make_faces, model, monkeypatch, caplog):
    monkeypatch.setattr("facerec.recognisers.embedding_run.NOTED_BLOCKS", 1)
    faces = make_faces(tmp_path / "f", identities=4, each=5)
    (faces / "person0" / "01.png").write_bytes(b"broken")
    options = {"model": model, "faces": faces, "workers": 0}
    whole = embed(**options, batch_size=4, out=tmp_path / "whole")
    interrupted(monkeypatch, 2, **options, batch_size=8, out=tmp_path / "e")
    assert "--batch-size" not in caplog.text
    assert blocks_read(monkeypatch, **options, batch_size=4, out=tmp_path / "e") == [0, 1, 2, 3, 4]
    assert "e.partial: was begun with another --batch-size, or is damaged; it starts afresh" in caplog.text
    assert contents(tmp_path / "e") == contents(whole)


def test_a_run_whose_files_a_kill_has_cut_begins_anew(tmp_path, make_faces, model, monkeypatch):
    monkeypatch.setattr("facerec.recognisers.embedding_run.NOTED_BLOCKS", 1)
    faces = make_faces(tmp_path / "f", identities=4, each=5)
    (faces / "person0" / "01.png").write_bytes(b"broken")
    options = {"model": model, "faces": faces, "workers": 0, "batch_size": 4}
    whole = contents(embed(**options, out=tmp_path / "whole"))
    cuts = {"embeddings.npy": 129, "norms.npy": 50, "finished_4.npy": 0, "unread_0.json": 50}  # bytes that are left
    for name, kept in cuts.items():
        left = interrupted(monkeypatch, 2, **options, out=tmp_path / name)
        size = (left / name).stat().st_size
        os.truncate(left / name, min(kept, size - 1))
        assert contents(embed(**options, out=tmp_path / name)) == whole


def test_half_precision_is_the_same_rounded(tmp_path, make_faces, model):
    faces = make_faces(tmp_path / "f", identities=2, each=2)
    options = {"model": model, "faces": faces, "workers": 0}
    single = embed(**options, out=tmp_path / "single") / "embeddings.npy"
    half = embed(**options, dtype="float16", out=tmp_path / "half") / "embeddings.npy"
    assert np.load(half).dtype == np.float16
    np.testing.assert_array_equal(np.load(half), np.load(single).astype(np.float16))
    assert load_embeddings(half.parent).embeddings.dtype == np.float32


def embed_as_rank(rank: int, place: dict[str, str], options: dict[str, Any]) -> None:
    """What a process does that torchrun starts."""
    os.environ |= place | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    embed(**options)


def test_two_processes_write_what_one_does(tmp_path, make_faces, model):
    faces = make_faces(tmp_path / "f", identities=4, each=5)
    for broken in ("person0/01.png", "person3/00.png"):
        (faces / broken).write_bytes(b"broken")
    whole = embed(model=model, faces=faces, out=tmp_path / "whole", batch_size=3, workers=0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    options = {"model": model, "faces": faces, "out": tmp_path / "two", "batch_size": 3, "workers": 0, "device": "cpu"}
    fork = multiprocessing.get_context("fork")
    ranks = [fork.Process(target=embed_as_rank, args=(rank, place, options)) for rank in (0, 1)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(200)
    assert [process.exitcode for process in ranks] == [0, 0]
    assert contents(tmp_path / "two") == contents(whole)
    assert json.loads((tmp_path / "two" / "meta.json").read_text())["results"]["faces_per_second"] > 0
    assert not (tmp_path / "two.partial").exists()


def test_unreadable_faces_are_zero_rows_and_listed(tmp_path, make_faces, model):
    faces = make_faces(tmp_path / "f", identities=3, each=3)
    clean = load_embeddings(embed(model=model, faces=faces, out=tmp_path / "clean", workers=0)).embeddings.copy()
    (faces / "person0" / "01.png").write_bytes(b"broken")
    (faces / "person2" / "00.png").write_bytes(b"")
    out = embed(model=model, faces=faces, out=tmp_path / "e", batch_size=4, workers=0)
    found = load_embeddings(out)
    assert np.flatnonzero(~found.readable).tolist() == [1, 6]
    np.testing.assert_allclose(found.embeddings[found.readable], clean[found.readable], atol=1e-5)
    rows = list(csv.DictReader((out / "skipped.csv").read_text().splitlines()))
    assert [(row["row"], row["key"], row["reason"]) for row in rows] == [
        ("1", "person0/01.png", "not a readable image"),
        ("6", "person2/00.png", "empty file"),
    ]


def test_a_face_of_which_the_recogniser_makes_nothing_is_unreadable_and_stops_nothing(tmp_path, make_faces):
    """Of a black picture the logarithm of the sum is infinite, and its product with zeros is NaN."""
    nodes = [
        helper.make_node("Cast", ["data"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("ReduceMax", ["flat"], ["most"], axes=[1]), helper.make_node("Log", ["most"], ["log"]),
        helper.make_node("Mul", ["flat", "log"], ["e"]),
    ]  # fmt: skip
    values = (helper.make_tensor_value_info("data", TensorProto.UINT8, ["n", 3, 8, 8]),
              helper.make_tensor_value_info("e", TensorProto.FLOAT, ["n", 192]))  # fmt: skip
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "m.onnx")
    faces = make_faces(tmp_path / "f", identities=3, each=2, size=8)
    for person in (0, 2):
        cv2.imwrite(str(faces / f"person{person}" / "01.png"), np.zeros((8, 8, 3), np.uint8))
    out = embed(model=tmp_path / "m.onnx", faces=faces, out=tmp_path / "e", batch_size=4, workers=0)
    found = load_embeddings(out)
    assert np.flatnonzero(~found.readable).tolist() == [1, 5]
    assert np.flatnonzero(np.load(out / "norms.npy") == 0).tolist() == [1, 5]
    rows = list(csv.DictReader((out / "skipped.csv").read_text().splitlines()))
    assert [(row["row"], row["key"]) for row in rows] == [("1", "person0/01.png"), ("5", "person2/01.png")]
    assert rows[0]["reason"] == "the recogniser gives NaN or infinite values, or only zeros"


def test_store_without_identities_gives_no_labels(tmp_path, make_faces, model):
    faces = make_faces(tmp_path / "f", identities=1, each=3)
    out = embed(model=model, faces=faces / "person0", out=tmp_path / "e", workers=0)
    assert not (out / "labels.npy").exists()
    assert (out / "skipped.csv").read_text() == "row,key,reason\n"


def test_onnx_recogniser_gives_the_known_embeddings(tmp_path, data):
    known = np.load(data / "embeddings_celeba299_mobilefacenet128.npz")
    rows = np.arange(0, len(known["files"]), 700)
    names = [str(known["files"][row]) for row in rows]
    folder = next(folder for folder in (data, data / "celeba299") if (folder / names[0]).exists())
    write_list(tmp_path / "some.tsv", ((str(folder / name), None) for name in names))
    weights = data / "weights" / "mobilefacenet_ms1m_128d.onnx"
    out = embed(model=weights, faces=tmp_path / "some.tsv", out=tmp_path / "e", batch_size=4, workers=0)
    cosines = (load_embeddings(out).embeddings * known["embeddings"][rows]).sum(axis=1)
    assert cosines.min() > 0.9999


def _onnx(path: Path, network: nn.Module, shape: tuple[int, ...]) -> Path:
    torch.onnx.export(network.eval(), (torch.randn(shape),), str(path), input_names=["x"], dynamo=False)
    return path


@pytest.mark.filterwarnings("ignore")
def test_onnx_made_for_one_face_at_a_time_works_in_batches(tmp_path, make_faces):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.PReLU(4), nn.Flatten(), nn.Linear(64, 6))
    weights = _onnx(tmp_path / "r.onnx", network, (1, 3, 32, 32))
    faces = make_faces(tmp_path / "f", identities=2, each=3, size=32)
    store = open_store(faces)
    found = load_embeddings(embed(model=weights, faces=faces, out=tmp_path / "e", flip=False, workers=0)).embeddings
    images = torch.tensor(np.stack([store.read(row) for row in range(6)])).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = nn.functional.normalize(network((images - 127.5) / 127.5)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_embeddings_whose_squares_float32_cannot_hold(tmp_path, make_faces, scale):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.PReLU(4), nn.Flatten(), nn.Linear(64, 6))
    faces = make_faces(tmp_path / "f", identities=2, each=3, size=32)
    plain = embed(model=_onnx(tmp_path / "r.onnx", network, (1, 3, 32, 32)), faces=faces, out=tmp_path / "e", workers=0)
    with torch.no_grad():
        network[-1].weight *= scale
        network[-1].bias *= scale
    weights = _onnx(tmp_path / "s.onnx", network, (1, 3, 32, 32))
    scaled = embed(model=weights, faces=faces, out=tmp_path / "s", workers=0)
    np.testing.assert_allclose(np.load(scaled / "embeddings.npy"), np.load(plain / "embeddings.npy"), atol=1e-5)
    np.testing.assert_allclose(np.load(scaled / "norms.npy"), scale * np.load(plain / "norms.npy"), rtol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_bad_inputs_are_refused_in_one_line_with_status_2(tmp_path, make_faces, model, capsys, status_of):
    faces = make_faces(tmp_path / "f", identities=2, each=2)
    dead = make_faces(tmp_path / "dead", identities=2, each=1)
    for file in dead.rglob("*.png"):
        file.write_bytes(b"")
    (tmp_path / "bad.onnx").write_bytes(b"not onnx")
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "config.yaml").write_bytes((model / "config.yaml").read_bytes())
    (tmp_path / "cut" / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes()[:3000])
    wide = _onnx(tmp_path / "wide.onnx", nn.Sequential(nn.Flatten(), nn.Linear(24, 2)), (1, 3, 2, 4))
    cases = [
        (["--model", tmp_path / "bad.onnx", "--faces", faces], "not readable as an ONNX network"),
        (["--model", wide, "--faces", faces], "a recogniser takes square faces"),
        (["--model", tmp_path / "cut", "--faces", faces], "may be truncated"),
        (["--model", faces, "--faces", faces], "config.yaml: no such file"),
        (["--model", faces / "person0" / "00.png", "--faces", faces], "no model of a kind that is read"),
        (["--model", model, "--faces", tmp_path / "absent"], "no such file or folder"),
        (["--model", model, "--faces", dead, "--workers", "0"], "none of its 2 faces can be read"),
        (
            ["--model", model, "--faces", faces, "--batch-size", "0"],
            "--batch-size: 0; expected a number above 0",
        ),
        (
            ["--model", model, "--faces", faces, "--precision", "fp8"],
            "--precision: fp8; expected one of auto, fp32, bf16",
        ),
        (
            ["--model", model, "--faces", faces, "--dtype", "int8"],
            "--dtype: int8; expected one of float32, float16",
        ),
    ]
    for arguments, text in cases:
        words = ["embed", *map(str, arguments), "--out", str(tmp_path / "out")]
        status = status_of({"embed": "facerec.commands.embed:embed"}, words)
        message = capsys.readouterr().err.strip().splitlines()[-1]
        assert status == 2, text
        assert text in message, (text, message)
        assert not list(tmp_path.glob("out*")), text


def test_damaged_weights_are_no_embeddings(tmp_path, make_faces):
    folder = tmp_path / "nan"
    folder.mkdir()
    network = build("mobilefacenet", 8, 32, 0.125)
    with torch.no_grad():
        network.embedding.weight.fill_(float("nan"))
    save_model(folder, network, {"backbone": "mobilefacenet", "width": 0.125, "input_size": 32, "embedding_size": 8})
    faces = make_faces(tmp_path / "f", identities=1, each=2)
    with pytest.raises(InputError, match="NaN or infinite"):
        embed(model=folder, faces=faces, out=tmp_path / "e", workers=0)
