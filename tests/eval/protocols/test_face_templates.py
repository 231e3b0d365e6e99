"""Embeddings of a protocol's faces, in files of other tools."""

import json

import numpy as np
import pytest

from eval.commands.ijb import ijb
from eval.protocols.face_templates import load_lengths
from facerec.pipeline.files import InputError


@pytest.mark.parametrize("norm", ["removed", "kept"])
def test_a_file_with_names_is_as_good_as_a_folder(tmp_path, protocol, norm):
    names = [line.split()[0] for line in (protocol / "tiny_face_tid_mid.txt").read_text().splitlines()]
    rows = np.random.default_rng(0).normal(size=(len(names), 6)).astype(np.float32)
    order = np.random.default_rng(1).permutation(len(names))
    np.savez(tmp_path / "x.npz", features=rows[order], files=np.array(names)[order])
    np.save(tmp_path / "x.npy", rows)  # by line
    figures = [
        json.loads(
            (ijb(protocol, tmp_path / f"x{suffix}", tmp_path / suffix[1:], norm=norm) / "metrics.json").read_text()
        )
        for suffix in (".npz", ".npy")
    ]
    assert figures[0]["fnmr_at_fmr"] == figures[1]["fnmr_at_fmr"]
    assert figures[0]["fnir_at_fpir"] == figures[1]["fnir_at_fpir"]


def test_rows_that_are_left_out_have_no_length(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.array([[3.0, 4.0], [np.nan, 1.0], [0.0, 2.0]]))
    assert load_lengths(tmp_path / "x.npz", 3).tolist() == [5, 0, 2]
    np.savez(tmp_path / "y.npz", x=np.array([[0.6, 0.8], [np.nan, 1.0]]))
    with pytest.raises(InputError, match="every embedding has unit length"):
        load_lengths(tmp_path / "y.npz", 2)
