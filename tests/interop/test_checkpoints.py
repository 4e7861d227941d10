"""Pickled checkpoints of the original programs: read, and never run."""

import collections
import os
import pickle

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nwm_jax.errors import UserError
from nwm_jax.interop.physics_inspired_models import read_checkpoint

PARAMS = {
    "Decoder": {"h": np.arange(32, dtype=np.float32).reshape(4, 4, 2)},
    "CORNN_0": {"gamma": np.float32(0.75), "b_bar": np.ones((2, 3, 1), np.float32)},
    "IC_Net_0": {"w_i": np.asfortranarray(np.arange(6.0).reshape(2, 3))},
}


def flat(params):
    return {
        f"{module}:{name}": np.asarray(array)
        for module, arrays in params.items()
        for name, array in arrays.items()
    }


def write(path, content, protocol=pickle.DEFAULT_PROTOCOL):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def haiku_mapping(params):
    """What Haiku's immutable dictionaries pickle as."""
    return hk.data_structures.to_immutable_dict(params)


def device_arrays(params):
    return jax.tree.map(jnp.asarray, params)


def snapshot(params):
    """What jaxline keeps of an experiment on two devices, with the optimiser's state."""
    copies = jax.tree.map(lambda array: np.stack([array, array]), params)
    return {
        "global_step": jnp.int32(7),
        "experiment_module": {
            "_opt_state": optax.adam(1e-3).init(device_arrays(params)),
            "_state": haiku_mapping({}),
            "_params": haiku_mapping(copies),
        },
    }


def under_params(params):
    state = optax.adam(1e-3).init(device_arrays(params))
    return {"opt_state": state, "state": {}, "step": 3, "params": params}


KINDS = [
    dict,
    collections.OrderedDict,
    haiku_mapping,
    device_arrays,
    under_params,
    snapshot,
]


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_reads_what_the_originals_write(tmp_path, kind, protocol):
    content = kind(PARAMS)
    result = read_checkpoint(write(tmp_path / "checkpoint.pkl", content, protocol))
    want = flat(PARAMS)
    assert result.keys() == want.keys()
    for name, array in want.items():
        assert result[name].shape == array.shape
        np.testing.assert_array_equal(result[name], array)


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def touch(path):
    return Calls(os.system, f"touch {path}")


@pytest.mark.parametrize(
    ("hostile", "named"),
    [
        (touch, "posix.system"),
        (lambda path: {"params": PARAMS, "extra": touch(path)}, "posix.system"),
        (lambda path: Calls(eval, f"open({str(path)!r}, 'w')"), "builtins.eval"),
        (lambda path: Calls(open, str(path), "w"), "open"),
        (lambda path: Calls(getattr, "".join, "format"), "builtins.getattr"),
        (lambda path: Calls(np.save, str(path), np.ones(3)), "numpy"),
        (lambda path: Calls(np.fromfile, str(path)), "fromfile"),
        (lambda path: Calls(jax.jit, eval), "builtins.eval"),
        (lambda path: {"params": path}, "pathlib"),
    ],
)
def test_runs_nothing(tmp_path, hostile, named):
    made = tmp_path / "made"
    path = write(tmp_path / "checkpoint.pkl", hostile(made))
    with pytest.raises(UserError, match=f"not a checkpoint of weights.*{named}"):
        read_checkpoint(path)
    assert not made.exists()


def test_what_stands_for_a_function_cannot_be_changed(tmp_path):
    """BUILD with a tuple of slots would set attributes of what it is given."""
    # The function, then (None, {"_call": None}), then BUILD.
    program = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n"
    program += b"N}X\x05\x00\x00\x00_callNs\x86b."
    path = tmp_path / "checkpoint.pkl"
    path.write_bytes(program)
    with pytest.raises(UserError, match="changes a function"):
        read_checkpoint(path)
    assert read_checkpoint(write(path, PARAMS)).keys() == flat(PARAMS).keys()


@pytest.mark.parametrize(
    "content",
    [
        np.array([1, "a"], object),
        {"Decoder": {"h": np.array(["text"])}},
        {"Decoder": {"h": np.zeros(2, [("a", "f4")])}},
    ],
)
def test_only_numbers(tmp_path, content):
    with pytest.raises(UserError, match=r"not of numbers|not made of numbers"):
        read_checkpoint(write(tmp_path / "checkpoint.pkl", content))


@pytest.mark.parametrize("content", [{}, [], 3, {"params": {"Decoder": {"h": 1.0}}}])
def test_a_pickle_without_parameters(tmp_path, content):
    with pytest.raises(UserError, match="holds no Haiku parameters"):
        read_checkpoint(write(tmp_path / "checkpoint.pkl", content))


def test_damaged_files(tmp_path):
    path = write(tmp_path / "checkpoint.pkl", PARAMS)
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[:-20], whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(UserError, match="not a pickled checkpoint"):
            read_checkpoint(path)
    with pytest.raises(UserError, match="does not exist"):
        read_checkpoint(tmp_path / "none.pkl")
    nested = {}
    nested["params"] = nested
    with pytest.raises(UserError, match="not a pickled checkpoint"):
        read_checkpoint(write(path, nested))
