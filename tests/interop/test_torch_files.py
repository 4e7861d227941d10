"""Files of the PyTorch originals' weights: what is read and what is refused."""

import sys
import types

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from nwm_jax.errors import UserError
from nwm_jax.interop.torch import load_state_dict
from tests.helpers.torch_weights import SMNIST, cornn, nwm, uncoupled, wrnn


def test_files_give_the_same_as_mappings(tmp_path, monkeypatch):
    params = {name: np.float32(array) for name, array in cornn().items()}
    np.savez(tmp_path / "weights.npz", **params)
    safetensors.numpy.save_file(params, tmp_path / "weights.safetensors")
    (tmp_path / "weights.pt").write_bytes(b"what PyTorch saved")

    class Tensor:
        """What the loader asks of a tensor."""

        def __init__(self, array):
            self.array = array

        def detach(self):
            return self

        cpu = detach

        def numpy(self):
            return self.array

    def load(path, *, map_location, weights_only):
        assert weights_only and map_location == "cpu"
        assert path.read_bytes() == b"what PyTorch saved"
        return {name: Tensor(array) for name, array in params.items()}

    fake = types.SimpleNamespace(load=load)
    monkeypatch.setitem(sys.modules, "torch", fake)
    for name in ("weights.npz", "weights.safetensors", "weights.pt"):
        cell = load_state_dict(tmp_path / name, "cornn", **SMNIST).cell
        joint = params["cell.i2h.weight"]
        np.testing.assert_array_equal(cell.forcing[...], joint[:, :1].T)
        np.testing.assert_array_equal(cell.coupling_v[...], joint[:, 1:4].T)
        np.testing.assert_array_equal(cell.coupling_x[...], joint[:, 4:].T)
    fake.load = lambda *args, **kwargs: [1, 2]
    with pytest.raises(UserError, match=r"weights.pt .* list, not a state_dict"):
        load_state_dict(tmp_path / "weights.pt", "cornn", **SMNIST)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match="needs PyTorch"):
        load_state_dict(tmp_path / "weights.pt", "cornn", **SMNIST)


def test_unsound_files_are_refused(tmp_path):
    pickled = tmp_path / "objects.npz"
    np.savez(pickled, array=np.array([{"a": 1}], dtype=object))
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"\xff" * 100)
    text = tmp_path / "text.npz"
    text.write_text("no archive")
    for path in (pickled, damaged, text):
        with pytest.raises(
            UserError, match=f"{path.name} (is not a sound file|cannot be read)"
        ):
            load_state_dict(path, "cornn", **SMNIST)
    with pytest.raises(UserError, match="does not exist"):
        load_state_dict(tmp_path / "none.npz", "cornn", **SMNIST)
    with pytest.raises(UserError, match=r"can be read; save them as one of .npz"):
        load_state_dict(tmp_path / "weights.bin", "cornn", **SMNIST)


@pytest.mark.parametrize(
    ("model", "params", "change", "message"),
    [
        ("cornn", cornn(), {"cell.i2h.bias": None}, "missing in cornn: cell.i2h.bias"),
        ("cornn", cornn(), {"cell.beta": (3,)}, "unknown in cornn: cell.beta"),
        ("cornn", cornn(), {"cell.i2h.weight": (3, 6)}, r"i2h.weight .*n_in \+ 6"),
        ("cornn", cornn(), {"readout.weight": (2, 4)}, r"readout.weight .*\(any, 3\)"),
        ("cornn", cornn(), {"readout.bias": (2, 1)}, r"readout.bias .*\(2\)"),
        ("nwm2d", nwm(), {"cell.Wx.weight": (8, 1)}, "Wx.weight .* square"),
        ("nwm2d", nwm(), {"cell.Wy.weight": (1, 1, 1, 3)}, "Wy.weight .*1, 1, 3, 3"),
        ("nwm1d", nwm(), {}, r"Wy.weight .*\(1, 1, 1, 3\)"),
        ("uncoupled", uncoupled(), {"cell.Wz": (4,)}, r"cell.Wz .*\(4,\)"),
        ("uncoupled", uncoupled(), {"cell.Wz": None}, "missing .*cell.Wz"),
        ("wrnn", wrnn(), {"cell.Wy.weight": (2, 2, 4)}, "Wy.weight .* odd"),
        ("wrnn", wrnn(), {"cell.Wy.weight": (2, 3, 3)}, r"Wy.weight .*\(2, 2, 3\)"),
        ("wrnn", wrnn(), {"cell.Wx.weight": (9, 2)}, "Wx.weight .*2 channels"),
        ("irnn", wrnn(), {}, r"cell.Wy.weight .*\(8, 8\)"),
    ],
)
def test_arrays_that_do_not_fit_are_named(model, params, change, message):
    params = dict(params)
    for name, shape in change.items():
        params.pop(name, None)
        if shape:
            params[name] = np.zeros(shape)
    hp = {"activation": "relu"} if model in ("wrnn", "irnn") else SMNIST
    with pytest.raises(UserError, match=message):
        load_state_dict(params, model, **hp)


@pytest.mark.parametrize(
    ("model", "hp", "message"),
    [
        ("lstm", {}, "'lstm'"),
        ("wrnn", {}, "wrnn also needs activation"),
        ("wrnn", {"activation": "gelu"}, "'gelu'"),
        ("wrnn", {"activation": "relu", "dt": 0.1}, "'dt'"),
        ("wrnn", {"activation": "relu", "n_ch": 4}, "has 2 channels, but n_ch=4"),
        ("cornn", {"dt": 0.1, "gamma": 1.0}, "cornn also needs epsilon"),
    ],
)
def test_wrong_hyper_parameters(model, hp, message):
    with pytest.raises(UserError, match=message):
        load_state_dict(wrnn(), model, **hp)


def test_half_precision_and_integers_become_float32():
    params = {k: np.float16(v) for k, v in cornn().items()}
    model = load_state_dict(params, "cornn", **SMNIST)
    assert model.cell.coupling_x.dtype == jnp.float32
    np.testing.assert_array_equal(model.readout[0].bias[...], params["readout.bias"])
