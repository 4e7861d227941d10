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
        found = recording.load(tmp_path / name)
        np.testing.assert_array_equal(found, X)
    assert isinstance(recording.load(tmp_path / "a.npy"), np.memmap)
    np.testing.assert_array_equal(recording.load(tmp_path / "a.mat", "lfp"), X)


def test_one_of_several_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", before=X, after=2 * X)
    np.testing.assert_array_equal(recording.load(tmp_path / "a.npz", "after"), 2 * X)
    with pytest.raises(UserError, match="--key: before, after"):
        recording.load(tmp_path / "a.npz")
    with pytest.raises(UserError, match="did you mean 'before'"):
        recording.load(tmp_path / "a.npz", "befor")
    np.savez(tmp_path / "b.npz", flat=X[0])
    with pytest.raises(UserError, match=r"flat \(3, 4\)"):
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
            with pytest.raises(UserError, match="a.np|a.mat|pickled"):
                recording.load(path)
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as file:
        file.writestr("x.npy", b"\x93NUMPY nonsense")
    with pytest.raises(UserError):
        recording.load(tmp_path / "b.npz")
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    (tmp_path / "new.mat").write_bytes(header + bytes(400))
    with pytest.raises(UserError, match="v7.3 .* not supported"):
        recording.load(tmp_path / "new.mat")
    (tmp_path / "a.txt").write_text("1 2 3")
    with pytest.raises(UserError, match=r"\.npy, \.npz, \.mat"):
        recording.load(tmp_path / "a.txt")
    with pytest.raises(UserError, match="does not exist"):
        recording.load(tmp_path / "none.npy")


def test_missing_channels_are_welcome():
    x = X.copy()
    x[:, 1, 2] = np.nan
    missing = recording.check(x)
    np.testing.assert_array_equal(np.argwhere(missing), [[1, 2]])
    assert not recording.check((X * 1000).astype(np.int16)).any()


def broken(index, value):
    x = X.copy()
    x[index] = value
    return x


@pytest.mark.parametrize(
    "x, words",
    [
        (X[0], r"shape is \(3, 4\)"),
        (X[None], "shape is"),
        (X[:, :0], "shape is"),
        (X[:3], "time comes first"),
        (X.astype(complex), "real numbers"),
        (X.astype(str), "real numbers"),
        (broken(np.s_[2:5, 1, 2], np.nan), r"row 1, column 2 \(3 of 12\)"),
        (broken(np.s_[0, 2, 0], np.inf), r"1 channel\(s\) hold NaN or infinity"),
        (broken(np.s_[:, 2, 3], 0.5), "constant .* row 2, column 3"),
        (broken(np.s_[:], np.nan), "every channel"),
    ],
)
def test_bad_recordings_are_named(x, words):
    with pytest.raises(UserError, match=words) as error:
        recording.check(x)
    assert "\n" not in str(error.value)
