from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jsonargparse
import pytest

from facerec.pipeline.files import InputError, read_json
from facerec.pipeline.options import flattened
from facerec.pipeline.stage import Results, stage


@dataclass(frozen=True)
class Network:
    """A network.

    Attributes:
        width: Channels; twice as many
            need four times as long.
        kind: Of the network.
    """

    width: int = 8
    kind: Literal["small", "large"] = "small"

    def __post_init__(self) -> None:
        if self.width < 1:
            raise InputError(f"--width {self.width}; at least 1")


@dataclass(frozen=True)
class Data:
    """Faces.

    Attributes:
        faces: The file.
        labels: Their classes.
    """

    faces: Path
    labels: Path | None = None


@stage("toy options")
@flattened
def learn(out: Path, data: Data, network: Network, seed: int = 0) -> Results:
    """Learns.

    For long.

    Args:
        out: Folder.
        data: Not shown.
        network: Not shown.
        seed: Of the order.
    """
    return {"faces": data.faces.read_text(), "width": network.width, "kind": network.kind, "seed": seed}


@pytest.fixture
def faces(tmp_path):
    (tmp_path / "faces.txt").write_text("abc")
    return tmp_path / "faces.txt"


def test_fields_are_parameters_and_configuration(tmp_path, faces):
    meta = read_json(learn(out=tmp_path / "out", faces=faces, width=4) / "meta.json")
    assert meta["results"] == {"faces": "abc", "width": 4, "kind": "small", "seed": 0}
    assert meta["config"] == {"labels": None, "width": 4, "kind": "small", "seed": 0}
    assert list(meta["inputs"]) == ["faces"]


def test_values_are_checked_by_the_dataclass_and_unknown_ones_refused(tmp_path, faces):
    with pytest.raises(InputError, match="--width 0; at least 1"):
        learn(out=tmp_path / "out", faces=faces, width=0)
    assert not (tmp_path / "out").exists()
    with pytest.raises(TypeError, match="depth"):
        learn(out=tmp_path / "out", faces=faces, depth=0)
    with pytest.raises(TypeError, match="faces"):
        learn(out=tmp_path / "out")


def test_the_command_line_is_flat_and_documented(tmp_path, faces, capsys):
    parser = jsonargparse.ArgumentParser()
    parser.add_function_arguments(learn, as_positional=False)
    text = " ".join(parser.format_help().split())
    assert "--width WIDTH Channels; twice as many need four times as long. (type: int, default: 8)" in text
    assert "--seed SEED Of the order." in text
    assert "Not shown" not in text
    found = parser.parse_args(["--out", str(tmp_path / "out"), "--faces", str(faces), "--kind", "large"])
    learn(**vars(found))
    assert read_json(tmp_path / "out" / "meta.json")["results"]["kind"] == "large"
    with pytest.raises(SystemExit):
        parser.parse_args(["--out", "x", "--faces", str(faces), "--kind", "huge"])
    error = capsys.readouterr().err
    assert "huge" in error
    assert "small" in error
