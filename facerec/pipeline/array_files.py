"""Files of several arrays: .npz, .h5, .pt and pickles, of which nothing is run."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from facerec.pipeline.entries import Entry
from facerec.pipeline.files import InputError, check_file, readable
from facerec.pipeline.plain_pickle import Array, load_plain
from facerec.pipeline.torch_file import is_dense, load_torch

SEVERAL = ("features", "labels")
"""What the first two of a tuple are: Hi-LANDER's data sets are ``(features, labels)``."""
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def npz_entries(file: Path) -> dict[str, Entry]:
    """The arrays of a .npz archive; nothing but their headers is read yet.

    Raises:
        InputError: Missing, or no such archive.
    """
    check_file(file)
    entries: dict[str, Entry] = {}
    with readable(file, "a .npz archive"), zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            with archive.open(info) as member:
                read_header = HEADERS.get(np.lib.format.read_magic(member))
                shape, _, dtype = read_header(member) if read_header else ((), False, np.dtype(object))
            if dtype.hasobject:
                dtype = np.dtype(np.void)
            elif int(np.prod(shape, dtype=object)) * dtype.itemsize > info.file_size:
                raise InputError(f"{file}: {name} is smaller than its header says; it is damaged, copy it again")
            entries[name] = Entry(shape, dtype.kind, lambda info=info: _npz_array(file, info))  # type: ignore[misc]
    return entries


def _npz_array(file: Path, info: zipfile.ZipInfo) -> np.ndarray:
    with readable(file, "a .npz archive"), zipfile.ZipFile(file) as archive, archive.open(info) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def h5_entries(file: Path) -> dict[str, Entry]:
    """The data sets of an HDF5 file, by their path in it. Links to other files are not followed.

    Raises:
        InputError: Missing, no HDF5, or h5py is not installed.
    """
    check_file(file)
    try:
        import h5py
    except ImportError:
        raise InputError(
            f"{file}: reading HDF5 needs h5py; install it: pip install 'facerec-pseudolabel[hdf5]'"
        ) from None
    entries: dict[str, Entry] = {}

    def note(name: str, node: Any) -> None:
        if not isinstance(node, h5py.Dataset) or node.shape is None or node.external or node.is_virtual:
            return
        text = h5py.check_string_dtype(node.dtype) is not None
        kind = "O" if text else node.dtype.kind if node.dtype.kind in "fiuS" else "V"
        entries[name] = Entry(node.shape, kind, lambda: _h5_array(file, name, text))

    with readable(file, "HDF5"), h5py.File(file, "r") as opened:
        opened.visititems(note)
    return entries


def _h5_array(file: Path, name: str, text: bool) -> np.ndarray:
    import h5py

    with readable(file, "HDF5"), h5py.File(file, "r") as opened:
        values = opened[name].asstr(errors="surrogateescape")[()] if text else opened[name][()]
    return np.asarray(values)


def torch_entries(file: Path) -> dict[str, Entry]:
    """The tensors that ``torch.save`` wrote: one, a dictionary, or a tuple of features and labels.

    Raises:
        InputError: Missing, or something else than tensors and plain data.
    """
    remedy = "save a dictionary of them, torch.save({'embeddings': x, 'labels': y}, FILE)"
    content = load_torch(file, "tensors", remedy)
    import torch

    def plain(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        if not is_dense(value):
            return None
        value = value.detach()
        return (value.float() if value.dtype == torch.bfloat16 else value).resolve_conj().resolve_neg().numpy()

    with readable(file, "tensors"):
        return _entries(content, plain)


def pickle_entries(file: Path) -> dict[str, Entry]:
    """The arrays of a pickle: one, a dictionary, or a tuple of features and labels. Nothing in it is run.

    Raises:
        InputError: Missing, damaged, or a pickle that asks for more than arrays, numbers and text.
    """
    check_file(file)
    try:
        content = load_plain(file.read_bytes())
    except InputError as error:
        raise InputError(f"{file}: {error}") from None

    def plain(value: Any) -> Any:
        if isinstance(value, list | tuple) and value and all(isinstance(item, Array) for item in value):
            return np.stack([item.numpy() for item in value])
        return value.numpy() if isinstance(value, Array) else value

    with readable(file, "arrays in a pickle"):
        return _entries(content, plain)


def _entries(content: Any, plain: Any) -> dict[str, Entry]:
    """Entries of an array, a mapping or a sequence of arrays."""
    if isinstance(content, Mapping):
        named = {name.decode() if isinstance(name, bytes) else str(name): value for name, value in content.items()}
    elif isinstance(content, list | tuple) and len(content) <= 4:
        names = [*SEVERAL, *map(str, range(len(SEVERAL), len(content)))]
        named = dict(zip(names, content, strict=False))
    else:
        named = {"embeddings": content}
    entries = {}
    for name, value in named.items():
        array = _flat_list(plain(value))
        if isinstance(array, np.ndarray):
            entries[name] = Entry.of(array)
    return entries


def _flat_list(value: Any) -> Any:
    """A list of numbers or of names as an array; anything else as it is."""
    if not isinstance(value, list | tuple) or not value:
        return value
    if all(isinstance(item, int) for item in value):
        return np.array(value, np.int64)
    texts = all(isinstance(item, str | bytes) for item in value)
    return np.array(value, object) if texts else value
