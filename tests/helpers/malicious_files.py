"""Files that are made to do harm."""

import io
import pathlib
import zipfile

import numpy as np


def bomb(path: pathlib.Path) -> pathlib.Path:
    """Writes a .npz of a few kilobytes that says it unpacks to 8 PB, and does not."""
    name = "cell.Wx.weight.npy"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, _array(np.zeros(100_000)))
        # Sizes of archives beyond 4 GB stand in an extra field, written at the end.
        archive.getinfo(name).file_size = 8 * 10**15
    return path


def liar(path: pathlib.Path) -> pathlib.Path:
    """Writes a .npz whose array says that it has 10**15 numbers, and has ten."""
    header = io.BytesIO()
    description = {"descr": "<f8", "fortran_order": False, "shape": (10**15,)}
    np.lib.format.write_array_header_1_0(header, description)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cell.Wx.weight.npy", header.getvalue() + bytes(80))
    return path


def _array(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()
