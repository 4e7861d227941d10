import os
import pickle
import zipfile

import numpy as np
import pytest
import scipy.io

from nwm_jax.errors import UserError
from nwm_jax.waves import recording
from tests.helpers import wave_fields

X = wave_fields.noise((12, 3, 4)).astype(np.float32)


def test_the_three_formats(tmp_path):
    np.save(tmp_path / "a.npy", X)
    np.savez(tmp_path / "a.npz", field=X, fs=1000.0, note="a remark")
    scipy.io.savemat(tmp_path / "a.mat", {"lfp": X, "fs": 1000.0})
    for name in ("a.npy", "a.npz", "a.mat"):
        result = recording.load(tmp_path / name)
        np.testing.assert_array_equal(result, X)
    assert isinstance(recording.load(tmp_path / "a.npy"), np.memmap)
    np.testing.assert_array_equal(recording.load(tmp_path / "a.mat", "lfp"), X)


def test_one_of_several_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", before=X, after=2 * X)
    np.testing.assert_array_equal(recording.load(tmp_path / "a.npz", "after"), 2 * X)
    with pytest.raises(UserError, match="--key: before, after"):
        recording.load(tmp_path / "a.npz")
    with pytest.raises(UserError, match="did you mean 'before'"):
        recording.load(tmp_path / "a.npz", "befor")
    np.savez(tmp_path / "b.npz", flat=X[0, 0])
    with pytest.raises(UserError, match=r"flat \(4,\)"):
        recording.load(tmp_path / "b.npz")
    with pytest.raises(UserError, match="without a name"):
        np.save(tmp_path / "a.npy", X)
        recording.load(tmp_path / "a.npy", "x")


class Bomb:
    def __reduce__(self):
        return (os.abort, ())


def test_nothing_pickled_is_read(tmp_path):
    objects = np.empty(1, object)
    objects[0] = Bomb()
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=objects)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Bomb()))
    for name in ("a.npy", "a.npz", "b.npy"):
        with pytest.raises(UserError, match="pickled") as error:
            recording.load(tmp_path / name)
        assert "\n" not in str(error.value)


def test_damaged_and_foreign_files(tmp_path):
    np.save(tmp_path / "a.npy", X)
    np.savez_compressed(tmp_path / "a.npz", x=X)
    scipy.io.savemat(tmp_path / "a.mat", {"x": X}, do_compression=True)
    for name in ("a.npy", "a.npz", "a.mat"):
        path = tmp_path / name
        content = path.read_bytes()
        for torn in (content[: len(content) // 2], content[:100], b""):
            path.write_bytes(torn)
            with pytest.raises(UserError, match=r"a.np|a.mat|pickled"):
                recording.load(path)
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as file:
        file.writestr("x.npy", b"\x93NUMPY nonsense")
    with pytest.raises(UserError):
        recording.load(tmp_path / "b.npz")
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    (tmp_path / "new.mat").write_bytes(header + bytes(400))
    with pytest.raises(UserError, match=r"v7.3 .* not supported"):
        recording.load(tmp_path / "new.mat")
    (tmp_path / "a.txt").write_text("1 2 3")
    with pytest.raises(UserError, match=r"\.npy, \.npz, \.mat"):
        recording.load(tmp_path / "a.txt")
    with pytest.raises(UserError, match="does not exist"):
        recording.load(tmp_path / "none.npy")


@pytest.mark.parametrize(
    "x, words",
    [
        (X[0], r"shape is \(3, 4\)"),
        (X[None], "shape is"),
        (X[:, :0], "shape is"),
        (X[:3], "time comes first"),
        (X.astype(complex), "real numbers"),
        (X.astype(str), "real numbers"),
    ],
)
def test_bad_recordings_are_named(x, words):
    with pytest.raises(UserError, match=words) as error:
        recording.check_shape(x)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "shape, axis",
    [
        ((49, 128, 128), 0),
        ((128, 128, 49), None),
        ((9, 9, 2000), None),
        ((2000, 9, 12), 0),
        ((64, 64, 64), 0),
        ((1000, 1, 16), 0),
    ],
)
def test_time_is_found_or_asked_for(shape, axis):
    x = np.empty(shape, np.int8)
    if axis is None:
        with pytest.raises(UserError, match="--time_axis=2"):
            recording.time_first(x)
    else:
        result, note = recording.time_first(x)
        assert result.shape == shape
        assert (note is None) == (shape[0] in (49, 2000))
    assert recording.time_first(x, -1)[0].shape == (shape[2], shape[0], shape[1])
    with pytest.raises(UserError, match="0, 1 or 2"):
        recording.time_first(x, 3)
