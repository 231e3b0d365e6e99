"""Recognisers in ONNX as other toolkits write them, each built here, and doubts about what they are given."""

import json
from itertools import pairwise
from types import SimpleNamespace

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from facerec.pipeline.files import InputError
from facerec.recognisers.first_look import doubts_about
from facerec.recognisers.onnx import OnnxRecogniser
from facerec.recognisers.onnx_graph import InputSettings
from facerec.recognisers.recogniser import Recogniser
from facerec.stores.open import open_store

SIZE = 8
WEIGHTS = np.random.default_rng(0).standard_normal((3 * SIZE * SIZE, 5)).astype(np.float32)
FACES = np.random.default_rng(1).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)


def network(path, before=(), kind=TensorProto.FLOAT, norm=False, constants="stored"):
    """Faces, then (operator, constant) one after another, then a product with `WEIGHTS`.

    Constants are stored, nodes, or computed from such nodes, as exporters without constant folding leave them.
    """
    nodes, tensors, current = [], [], "data"
    if kind != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [current], ["cast"], name="x0", to=TensorProto.FLOAT))
        current = "cast"
    for number, (operator, value) in enumerate(before):
        tensor = numpy_helper.from_array(np.array(value, np.float32), f"c{number}")
        name = f"c{number}"
        if constants == "stored":
            tensors.append(tensor)
        else:
            nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        if constants == "computed":
            nodes.append(helper.make_node("Neg", [name], [f"-{name}"]))
            nodes.append(helper.make_node("Neg", [f"-{name}"], [f"--{name}"]))
            name = f"--{name}"
        nodes.append(helper.make_node(operator, [current, name], [f"v{number}"], name=f"layer_{number}"))
        current = f"v{number}"
    tensors.append(numpy_helper.from_array(WEIGHTS, "w"))
    nodes += [helper.make_node("Flatten", [current], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["e"])]
    outputs = [helper.make_tensor_value_info("e", TensorProto.FLOAT, ["n", 5])]
    if norm:
        nodes.append(helper.make_node("ReduceL2", ["e"], ["norm"], axes=[1], keepdims=1))
        outputs.insert(0, helper.make_tensor_value_info("norm", TensorProto.FLOAT, ["n", 1]))
    shape = ["n", 3, SIZE, SIZE]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("data", kind, shape)], outputs, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def expected(faces, mean, std):
    images = (faces.transpose(0, 3, 1, 2).astype(np.float64) - mean) / std
    return images.reshape(len(faces), -1) @ WEIGHTS


@pytest.mark.parametrize("constants", ["stored", "nodes", "computed"])
@pytest.mark.parametrize(
    ("before", "mean", "std"),
    [
        ((), 127.5, 127.5),
        ([("Sub", 127.5), ("Mul", 1 / 128)], 127.5, 128),
        ([("Sub", 127.5), ("Div", 128.0)], 127.5, 128),
        ([("Mul", 1 / 128), ("Add", -1.0)], 128, 128),
        ([("Mul", 2.0)], 127.5, 127.5 / 2),
    ],
)
def test_normalisation_is_told_by_operators_whatever_their_names(tmp_path, before, mean, std, constants):
    recogniser = OnnxRecogniser(network(tmp_path / "m.onnx", before, constants=constants))
    np.testing.assert_allclose(recogniser(FACES), expected(FACES, mean, std), rtol=1e-4, atol=1e-3)
    assert (recogniser.input_size, recogniser.embedding_size) == (SIZE, 5)


NORMALISED = [
    helper.make_node("Sub", ["data", "c"], ["centred"]), helper.make_node("Mul", ["centred", "s"], ["scaled"]),
    helper.make_node("Flatten", ["scaled"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["e"]),
]  # fmt: skip
TENSORS = [
    numpy_helper.from_array(value, name)
    for value, name in ((np.float32(100), "c"), (np.float32(1 / 64), "s"), (WEIGHTS, "w"), (np.array([-1]), "rest"))
]


def test_a_size_read_off_the_input_does_not_hide_its_normalisation(tmp_path):
    """As Keras flattens: to the number of faces, which is read off the input, times the rest."""
    flattened = [
        helper.make_node("Shape", ["data"], ["sides"]), helper.make_node("Gather", ["sides", "zero"], ["faces"]),
        helper.make_node("Concat", ["faces", "rest"], ["to"], axis=0),
        helper.make_node("Reshape", ["scaled", "to"], ["flat"]),
    ]  # fmt: skip
    nodes, tensors = (
        [*NORMALISED[:2], *flattened, NORMALISED[3]],
        [*TENSORS, numpy_helper.from_array(np.array([0]), "zero")],
    )
    recogniser = OnnxRecogniser(save(tmp_path / "m.onnx", nodes, ["n", 3, SIZE, SIZE], tensors))
    np.testing.assert_allclose(recogniser(FACES), expected(FACES, 100, 64), rtol=1e-4, atol=1e-3)


def test_what_goes_around_the_first_layers_is_no_normalisation(tmp_path):
    nodes = [*NORMALISED[:2], helper.make_node("Add", ["data", "scaled"], ["sum"]),
             helper.make_node("Flatten", ["sum"], ["flat"]), NORMALISED[3]]  # fmt: skip
    recogniser = OnnxRecogniser(save(tmp_path / "m.onnx", nodes, ["n", 3, SIZE, SIZE], TENSORS))
    assert (recogniser.mean, recogniser.std) == (127.5, 127.5)


def test_weights_may_stand_among_the_inputs_and_before_the_faces(tmp_path):
    """As in networks of the first ONNX versions."""
    model = onnx.load(save(tmp_path / "m.onnx", NORMALISED, ["n", 3, SIZE, SIZE], TENSORS))
    model.graph.input.insert(0, helper.make_tensor_value_info("w", TensorProto.FLOAT, WEIGHTS.shape))
    onnx.save(model, tmp_path / "m.onnx")
    recogniser = OnnxRecogniser(tmp_path / "m.onnx")
    np.testing.assert_allclose(recogniser(FACES), expected(FACES, 100, 64), rtol=1e-4, atol=1e-3)


def test_a_batch_normalisation_of_the_input_is_one(tmp_path):
    names = ("scale", "bias", "mean", "variance")
    tensors = [numpy_helper.from_array(np.full(3, value, np.float32), name)
               for value, name in zip((2, 0, 100, 64**2 - 1e-5), names, strict=True)]  # fmt: skip
    nodes = [helper.make_node("BatchNormalization", ["data", *names], ["scaled"]), *NORMALISED[2:]]
    recogniser = OnnxRecogniser(save(tmp_path / "m.onnx", nodes, ["n", 3, SIZE, SIZE], [*tensors, *TENSORS[2:]]))
    np.testing.assert_allclose(recogniser(FACES), expected(FACES, 100, 32), rtol=1e-4, atol=1e-3)


def test_mean_std_and_order_of_channels_as_given(tmp_path):
    settings = InputSettings(mean=100.0, std=50.0, channels="bgr")
    recogniser = OnnxRecogniser(network(tmp_path / "m.onnx"), settings=settings)
    np.testing.assert_allclose(recogniser(FACES), expected(FACES[..., ::-1], 100, 50), rtol=1e-4, atol=1e-3)
    recogniser = OnnxRecogniser(tmp_path / "m.onnx", settings=InputSettings(std=50.0))
    assert (recogniser.mean, recogniser.std) == (127.5, 50)


@pytest.mark.parametrize(
    ("kind", "mean", "std", "tolerance"), [(TensorProto.FLOAT16, 127.5, 127.5, 0.1), (TensorProto.UINT8, 0, 1, 0.1)]
)
def test_inputs_of_other_types(tmp_path, kind, mean, std, tolerance):
    recogniser = OnnxRecogniser(network(tmp_path / "m.onnx", kind=kind))
    np.testing.assert_allclose(recogniser(FACES), expected(FACES, mean, std), rtol=1e-2, atol=tolerance)
    own = [("Sub", 127.5), ("Mul", 1 / 64)]
    recogniser = OnnxRecogniser(network(tmp_path / "m.onnx", own, kind))
    np.testing.assert_allclose(recogniser(FACES), expected(FACES, 127.5, 64), rtol=1e-2, atol=tolerance)


def test_an_embedding_and_its_norm(tmp_path):
    path = network(tmp_path / "m.onnx", norm=True)
    np.testing.assert_allclose(OnnxRecogniser(path)(FACES), expected(FACES, 127.5, 127.5), rtol=1e-4, atol=1e-3)
    lengths = OnnxRecogniser(path, settings=InputSettings(output="norm"))(FACES)
    np.testing.assert_allclose(lengths[:, 0], np.linalg.norm(expected(FACES, 127.5, 127.5), axis=1), rtol=1e-4)
    with pytest.raises(InputError, match="no output 'fc1'; it has norm, e"):
        OnnxRecogniser(path, settings=InputSettings(output="fc1"))


def test_pixels_as_they_are_have_no_mean(tmp_path):
    path = network(tmp_path / "m.onnx", kind=TensorProto.UINT8)
    with pytest.raises(InputError, match="m.onnx: takes pixels as they are, uint8; leave --mean and --std out"):
        OnnxRecogniser(path, settings=InputSettings(mean=100.0))
    assert OnnxRecogniser(path, settings=InputSettings(mean=0.0, std=1.0)).embedding_size == 5


def test_inputs_that_no_recogniser_has(tmp_path):
    with pytest.raises(InputError, match=r"takes tensor.double.; a recogniser takes tensor.float."):
        OnnxRecogniser(network(tmp_path / "m.onnx", kind=TensorProto.DOUBLE))


def save(path, nodes, shape, tensors):
    inputs = [helper.make_tensor_value_info("data", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("e", TensorProto.FLOAT, ["n", 5])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.mark.parametrize("batch", ["n", 1])
def test_channels_that_come_last(tmp_path, batch):
    nodes = [
        helper.make_node("Transpose", ["data"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Flatten", ["t"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["e"]),
    ]  # fmt: skip
    tensors = [numpy_helper.from_array(WEIGHTS, "w")]
    recogniser = OnnxRecogniser(save(tmp_path / "m.onnx", nodes, [batch, SIZE, SIZE, 3], tensors))
    assert recogniser.input_size == SIZE
    np.testing.assert_allclose(recogniser(FACES), expected(FACES, 127.5, 127.5), rtol=1e-4, atol=1e-3)
    passed = helper.make_node("Identity", ["t"], ["same"])
    nodes = [nodes[0], passed, helper.make_node("Sub", ["same", "c"], ["centred"]), *NORMALISED[1:]]
    recogniser = OnnxRecogniser(save(tmp_path / "m.onnx", nodes, [batch, SIZE, SIZE, 3], TENSORS))
    np.testing.assert_allclose(recogniser(FACES), expected(FACES, 100, 64), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("first", [False, True])
def test_weights_that_are_listed_as_inputs(tmp_path, first):
    """As older exporters list them; a caller may replace them there, so their shapes stay what they are."""
    widths, generator = (3, 4, 8, 6, 5), np.random.default_rng(0)
    weights = [generator.standard_normal((b, a, 1, 1)).astype(np.float32) for a, b in pairwise(widths)]
    tensors = [numpy_helper.from_array(weight, f"w{number}") for number, weight in enumerate(weights)]
    names = ["data", "c0", "c1", "c2", "c3"]
    nodes = [helper.make_node("Conv", [names[n], f"w{n}"], [names[n + 1]]) for n in range(len(weights))]
    nodes.append(helper.make_node("GlobalAveragePool", ["c3"], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["e"]))
    model = onnx.load(save(tmp_path / "m.onnx", nodes, [1, 3, SIZE, SIZE], tensors))
    inputs = [helper.make_tensor_value_info(w.name, w.data_type, list(w.dims)) for w in model.graph.initializer]
    inputs = [*inputs, *model.graph.input] if first else [*model.graph.input, *inputs]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    onnx.save(model, tmp_path / "m.onnx")
    wanted = np.linalg.multi_dot([(FACES.mean((1, 2)) - 127.5) / 127.5, *(weight[..., 0, 0].T for weight in weights)])
    np.testing.assert_allclose(OnnxRecogniser(tmp_path / "m.onnx")(FACES), wanted, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("operator", ["Gather", "Slice"])
def test_a_network_that_swaps_the_channels_before_it_normalises(tmp_path, operator):
    constants = {"order": [2, 1, 0], "from": [2], "to": [-4], "axis": [1], "step": [-1]}
    tensors = [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()]
    names, axis = (["order"], {"axis": 1}) if operator == "Gather" else (["from", "to", "axis", "step"], {})
    swap = helper.make_node(operator, ["data", *names], ["swapped"], **axis)
    nodes = [swap, helper.make_node("Sub", ["swapped", "c"], ["centred"]), *NORMALISED[1:]]
    path = save(tmp_path / "m.onnx", nodes, ["n", 3, SIZE, SIZE], [*TENSORS, *tensors])
    recogniser = OnnxRecogniser(path, settings=InputSettings(channels="bgr"))
    np.testing.assert_allclose(recogniser(FACES), expected(FACES, 100, 64), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("shape", "size"), [(["n", 3, "h", "w"], None), (["n", 3, None, None], 32), ([None] * 4, 20)])
def test_faces_of_any_size(tmp_path, caplog, shape, size):
    """The means of the channels, weighted; the size is 112 or as wanted."""
    caplog.set_level("INFO")
    nodes = [
        helper.make_node("GlobalAveragePool", ["data"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["e"]),
    ]  # fmt: skip
    path = save(tmp_path / "m.onnx", nodes, shape, [numpy_helper.from_array(WEIGHTS[:3], "w")])
    recogniser = OnnxRecogniser(path, settings=InputSettings(size=size))
    assert recogniser.input_size == (size or 112)
    assert ("takes faces of any size; they are given as 112x112" in caplog.text) == (size is None)
    faces = np.random.default_rng(2).integers(0, 256, (2, size or 112, size or 112, 3), dtype=np.uint8)
    wanted = (faces.mean(axis=(1, 2)) - 127.5) / 127.5 @ WEIGHTS[:3]
    np.testing.assert_allclose(recogniser(faces), wanted, rtol=1e-3, atol=1e-4)


def test_embeddings_with_empty_sides_and_pictures_that_are_none(tmp_path):
    pooled = [helper.make_node("GlobalAveragePool", ["data"], ["e"])]
    found = OnnxRecogniser(save(tmp_path / "pooled.onnx", pooled, ["n", 3, SIZE, SIZE], []))(FACES)
    np.testing.assert_allclose(found, (FACES.mean(axis=(1, 2)) - 127.5) / 127.5, rtol=1e-3, atol=1e-4)
    picture = save(tmp_path / "m.onnx", [helper.make_node("Relu", ["data"], ["e"])], ["n", 3, SIZE, SIZE], [])
    with pytest.raises(InputError, match=r"m.onnx: output e is of shape \[1, 3, 8, 8\] for 1 face, which is no embed"):
        OnnxRecogniser(picture)


def test_a_graph_that_only_seems_to_take_any_size(tmp_path):
    nodes = [helper.make_node("Flatten", ["data"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["e"])]
    path = save(tmp_path / "m.onnx", nodes, ["n", 3, "h", "w"], [numpy_helper.from_array(WEIGHTS, "w")])
    with pytest.raises(InputError, match="a network for faces of 112 pixels .* made for another --input-size"):
        OnnxRecogniser(path)
    assert OnnxRecogniser(path, settings=InputSettings(size=SIZE)).input_size == SIZE


def test_a_network_that_declares_any_number_of_faces_and_holds_one_inside(tmp_path):
    """A converter left its Reshape as it was for one face."""
    nodes = [helper.make_node("Reshape", ["data", "one"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["e"])]
    tensors = [numpy_helper.from_array(WEIGHTS, "w"), numpy_helper.from_array(np.array([1, len(WEIGHTS)]), "one")]
    recogniser = OnnxRecogniser(save(tmp_path / "m.onnx", nodes, ["n", 3, SIZE, SIZE], tensors))
    wanted = ((FACES.transpose(0, 3, 1, 2).reshape(len(FACES), -1) - 127.5) / 127.5) @ WEIGHTS
    np.testing.assert_allclose(recogniser(FACES), wanted, rtol=1e-4, atol=1e-3)


def test_a_network_for_several_faces_at_once_is_refused(tmp_path):
    nodes = [helper.make_node("Reshape", ["data", "four"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["e"])]
    tensors = [numpy_helper.from_array(WEIGHTS, "w"), numpy_helper.from_array(np.array([4, len(WEIGHTS)]), "four")]
    path = save(tmp_path / "m.onnx", nodes, [4, 3, SIZE, SIZE], tensors)
    with pytest.raises(InputError, match=r"made for 4 faces at once; export it for any number of faces, or for one$"):
        OnnxRecogniser(path)


@pytest.mark.parametrize("length", [1, 1e-5])
def test_faces_whose_embeddings_depend_on_the_batch_are_embedded_one_by_one(tmp_path, length):
    """The mean of the batch is added, which of one face doubles its embedding."""
    nodes = [
        helper.make_node("Flatten", ["data"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["own"]),
        helper.make_node("ReduceMean", ["own"], ["mean"], axes=[0]), helper.make_node("Add", ["own", "mean"], ["e"]),
    ]  # fmt: skip
    weights = [numpy_helper.from_array(np.float32(length) * WEIGHTS, "w")]
    recogniser = OnnxRecogniser(save(tmp_path / "m.onnx", nodes, ["n", 3, SIZE, SIZE], weights))
    np.testing.assert_allclose(recogniser(FACES) / length, 2 * expected(FACES, 127.5, 127.5), rtol=1e-4, atol=1e-3)


def test_of_several_embeddings_one_is_to_be_chosen_and_several_inputs_are_refused(tmp_path):
    model = onnx.load(save(tmp_path / "m.onnx", NORMALISED, ["n", 3, SIZE, SIZE], TENSORS))
    model.graph.output.append(helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["n", len(WEIGHTS)]))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(InputError, match="a recogniser gives embeddings: choose one as --output"):
        OnnxRecogniser(tmp_path / "m.onnx")
    recogniser = OnnxRecogniser(tmp_path / "m.onnx", settings=InputSettings(output="e"))
    np.testing.assert_allclose(recogniser(FACES), expected(FACES, 100, 64), rtol=1e-4, atol=1e-3)
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, ["n", 3, SIZE, SIZE]))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r"inputs \[.*\], outputs .*; a recogniser takes faces"):
        OnnxRecogniser(tmp_path / "m.onnx")


def test_an_embedding_with_empty_sides_beside_another_output_is_one_of_several(tmp_path):
    pooled = [helper.make_node("GlobalAveragePool", ["data"], ["e"]), helper.make_node("Flatten", ["data"], ["flat"])]
    model = onnx.load(save(tmp_path / "m.onnx", pooled, ["n", 3, SIZE, SIZE], []))
    del model.graph.output[:]
    for name, shape in (("e", ["n", 3, 1, 1]), ("flat", ["n", len(WEIGHTS)])):
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(InputError, match="choose one as --output"):
        OnnxRecogniser(tmp_path / "m.onnx")
    assert OnnxRecogniser(tmp_path / "m.onnx", settings=InputSettings(output="e"))(FACES).shape == (len(FACES), 3)


def test_sizes_that_no_recogniser_has(tmp_path):
    with pytest.raises(InputError, match="takes faces of 8 pixels, not of 112; leave --input-size out"):
        OnnxRecogniser(network(tmp_path / "m.onnx"), settings=InputSettings(size=112))
    for shape, message in (
        (["n", 3, 8, 9], "takes images of 8x9; a recogniser takes square faces"),
        (["n", 1, 8, 8], r"a recogniser takes faces \[n, 3, size, size\] or \[n, size, size, 3\]"),
        (["n", 192], "a recogniser takes faces"),
    ):
        node = helper.make_node("Flatten", ["data"], ["e"])
        with pytest.raises(InputError, match=message):
            OnnxRecogniser(save(tmp_path / "m.onnx", [node], shape, []))


class Fixed:
    """A network whose embeddings are all alike, as those of one that is given a wrong input are."""

    input_size, embedding_size = SIZE, 4

    def __call__(self, faces):
        return np.tile(np.float32([1, 2, 3, 4]), (len(faces), 1))


@pytest.fixture
def pictures(tmp_path):
    def write(sizes):
        random = np.random.default_rng(0)
        for number, (height, width) in enumerate(sizes):
            pattern = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / f"{number:03d}.png"), cv2.resize(pattern, (width, height)))
        return open_store(tmp_path)

    return write


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"channels": "BGR"}, "--channels: 'BGR'; expected one of rgb, bgr"),
        ({"std": 0}, "std is 0; it must be positive"),
        ({"std": float("inf")}, "std is inf; it must be positive"),
        ({"mean": float("nan")}, "mean is nan; it must be finite"),
        ({"size": -112}, "size is -112; it must be positive"),
        ({"mean": "127.5"}, "--mean: '127.5'; expected a number"),
    ],
)
def test_settings_that_none_can_be_are_refused(settings, said):
    with pytest.raises(InputError, match=said):
        InputSettings(**settings)


@pytest.fixture
def recogniser(tmp_path_factory):
    return Recogniser(OnnxRecogniser(network(tmp_path_factory.mktemp("onnx") / "m.onnx")))


def test_crops_raise_no_doubts(pictures, recogniser):
    assert list(doubts_about(pictures([(40, 40)] * 30), recogniser)) == []


def test_whole_photographs_are_said(pictures, recogniser):
    (doubt,) = doubts_about(pictures([(90, 67)] * 20 + [(40, 40)] * 10), recogniser)
    assert doubt.startswith("20 of 30 pictures looked at are far from square (e.g. 67x90), as whole photographs are")


def test_many_sizes_are_said(pictures, recogniser):
    (doubt,) = doubts_about(pictures([(40 + number, 40 + number) for number in range(20)]), recogniser)
    assert "20 pictures looked at have 20 sizes" in doubt


@pytest.mark.parametrize(("side", "size", "said"), [(128, 112, 1), (256, 224, 1), (224, 112, 0), (128, 128, 0)])
def test_crops_with_a_wider_border_than_the_recogniser_wants_are_said(pictures, tmp_path, side, size, said):
    store = pictures([(16, 16)] * 2)
    (tmp_path / "meta.json").write_text(json.dumps({"command": "facerec align", "config": {"size": side}}))
    doubts = list(doubts_about(store, SimpleNamespace(input_size=size)))
    assert len(doubts) == said
    assert all(f"crops of {side} pixels, with a wider border" in doubt for doubt in doubts)


def test_a_recogniser_that_tells_nothing_apart_is_said(pictures):
    (doubt,) = doubts_about(pictures([(40, 40)] * 30), Recogniser(Fixed()))
    assert doubt.startswith("two views of one picture (cosine 1.000) are no more alike than two pictures (1.000)")


@pytest.mark.parametrize(("device", "number"), [("cuda", "0"), ("cuda:1", "1")])
def test_it_runs_on_the_gpu_that_is_asked_for(tmp_path, monkeypatch, device, number):
    path, asked = network(tmp_path / "m.onnx"), []
    session = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(
        onnxruntime, "InferenceSession",
        lambda graph, options, providers: asked.extend(providers) or session(graph, options, providers=[providers[-1]]),
    )  # fmt: skip
    OnnxRecogniser(path, device)
    assert asked == [("CUDAExecutionProvider", {"device_id": number}), "CPUExecutionProvider"]


def test_it_says_that_it_runs_on_the_cpu_where_onnxruntime_has_no_cuda(tmp_path, monkeypatch, caplog):
    path = network(tmp_path / "m.onnx")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    OnnxRecogniser(path)
    assert not caplog.text
    OnnxRecogniser(path, "cuda")
    assert "onnxruntime cannot use CUDA here, so the network runs on the CPU" in caplog.text
