"""Copying, adding and classifying: losses of the original, batches, what is reported."""

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from nwm_jax.data.sequences import copy_memory, images
from nwm_jax.data.sequences.images import LabelledImages
from nwm_jax.errors import UserError
from nwm_jax.experiments.sequences import classification
from nwm_jax.experiments.sequences.adding import Adding
from nwm_jax.experiments.sequences.classification import Classification
from nwm_jax.experiments.sequences.copy_memory import CopyMemory
from nwm_jax.interop.torch import load_state_dict
from nwm_jax.modules import functional
from tests.helpers.filled_models import filled

WRNN = {
    "name": "wrnn",
    "units": 4,
    "channels": 2,
    "kernel_size": 3,
    "local": False,
    "activation": "relu",
    "coupling_init": "shift",
    "input_init": "single",
    "speed": 1.0,
    "zero_coupling_bias": False,
    "frozen": (),
    "readout_hidden": 0,
}
OSCILLATORS = {"dt": 0.1, "gamma": 1.0, "alpha": 1.0, "readout_hidden": 0}


def make_config(data, model=None, num_examples=6):
    return ConfigDict(
        {
            "name": "toy",
            "seed": 0,
            "batch_size": 4,
            "remat": 0,
            "conv": "auto",
            "stop_when_solved": True,
            "data": {"name": "", "path": "", "cache_dir": "", "seed": 0, **data},
            "model": model or WRNN,
            "eval": {"num_examples": num_examples, "batch_size": 3},
        }
    )


@pytest.fixture(scope="module")
def copying():
    return CopyMemory(make_config({"T": 3, "layout": "paper"}))


@pytest.fixture(scope="module")
def adding():
    return Adding(make_config({"T": 10}))


def digits_config(**data):
    defaults = {
        "name": "digits",
        "pool": 1,
        "permute": False,
        "length": 0,
        "num_valid": 150,
        "num_train": 0,
        "num_test": 0,
    }
    return make_config(defaults | data)


@pytest.fixture(scope="module")
def digits():
    return Classification(digits_config(pool=2))


def test_copy_loss_of_the_original():
    """Two rings of four, every array 0.3 sin(1, 2, ...), the program's layout."""
    task = CopyMemory(make_config({"T": 20, "layout": "code"}))
    shapes = {
        "cell.Wx.weight": (8, 10),
        "cell.Wx.bias": (8,),
        "cell.Wy.weight": (2, 2, 3),
        "cell.Wy.bias": (2,),
        "readout.weight": (10, 8),
        "readout.bias": (10,),
    }
    params = {
        name: 0.3 * np.sin(np.arange(1, np.prod(shape) + 1)).reshape(shape)
        for name, shape in shapes.items()
    }
    symbols = np.array([[*range(1, 9), 1, 2], [*range(8, 0, -1), 8, 7]])
    inputs, targets = copy_memory.lay_out(symbols, 20, "code")
    batch = {"inputs": inputs, "targets": targets}

    def objective(params):
        model = load_state_dict(params, "wrnn", activation="relu", every_step=True)
        errors = task.errors(model, batch)
        return task.objective(errors), errors

    with jax.enable_x64(True):
        compiled = jax.jit(jax.value_and_grad(objective, has_aux=True))
        (loss, errors), gradient = jax.tree.map(np.asarray, compiled(params))
    np.testing.assert_allclose(loss, 0.9637161443, atol=1e-9)
    np.testing.assert_allclose(errors["cross_entropy"].mean(), 1.9274322885, atol=1e-9)
    np.testing.assert_allclose(
        errors["recall_cross_entropy"].mean(), 2.3809824412, atol=1e-9
    )
    # The norm by differences of the loss, and by another program with a plain loop.
    norm = np.sqrt(sum(np.sum(g**2) for g in gradient.values()))
    np.testing.assert_allclose(norm, 0.4837440384, atol=1e-9)


@pytest.mark.parametrize("name", ["copying", "adding", "digits"])
def test_batches_are_pure_and_rows_are_parts_of_them(name, request):
    task = request.getfixturevalue(name)
    whole = task.batch(5, slice(None))
    for rows in (slice(2, 4), np.array([3, 1])):
        part = task.batch(5, rows)
        for key, array in whole.items():
            assert len(array) == 4
            np.testing.assert_array_equal(part[key], array[rows])
    other = task.batch(6, slice(None))
    assert any((whole[key] != other[key]).any() for key in whole)


@pytest.mark.parametrize("name", ["copying", "adding", "digits"])
def test_loss_and_scores_of_a_new_model(name, request):
    task = request.getfixturevalue(name)
    model = filled(lambda: task.init(jax.random.key(0)))
    graphdef, params, state = functional.split(model)
    assert graphdef == task.graphdef
    batch = task.batch(0, slice(None))
    loss, (_, state) = jax.jit(task.loss)(params, state, batch, None)
    assert np.isfinite(loss) and state == {}
    examples = task.eval_batch(np.arange(3))
    scores = jax.jit(task.score)(model, examples)
    assert all(len(values) == 3 for values in scores.values())
    summary = task.summarise({k: np.asarray(v) for k, v in scores.items()})
    outputs, inputs = {"adding": (1, 2), "copying": (10, 10)}.get(name, (10, 1))
    assert summary["num_weights"] == inputs * 8 + 2 * 2 * 3 + 8 * outputs
    evaluations = task.evaluations()
    assert evaluations[task.metric] is task
    placeless = task.config.model.name == "irnn"
    waves = [] if placeless else ["waves"]
    assert list(evaluations) == [task.metric, "wave_line", *waves]
    assert list(task.evaluations(["wave_line"])) == ["wave_line"]
    with pytest.raises(UserError, match="unknown metric 'vpt'"):
        task.evaluations(("vpt",))


def test_summary_and_end_of_copying(copying):
    assert copying.units_per_example == 23
    assert "sequences of 23 steps, every symbol recalled after 13" in copying.note
    scores = {
        "cross_entropy": np.array([0.5, 0.7]),
        "recall_cross_entropy": np.array([1e-5, 1.5e-4]),
        "recall_accuracy": np.array([1.0, 0.5]),
    }
    summary = copying.summarise(scores)
    np.testing.assert_allclose(summary["cross_entropy"], 0.6)
    np.testing.assert_allclose(summary["paper_loss"], 0.012)
    np.testing.assert_allclose(summary["memoryless_cross_entropy"], 20.7944154 / 23)
    assert (summary["length"], summary["delay"], summary["solved"]) == (23, 13, 1)
    assert "8e-05" in copying.stop(summary)
    scores["recall_cross_entropy"] *= 2
    assert copying.summarise(scores)["solved"] == 0
    assert copying.stop(copying.summarise(scores)) is None
    assert copying.stop({"loss": 0.0}) is None


@pytest.mark.parametrize(("delay", "expected"), [(10, 0.935749), (20, 0.693147)])
def test_memoryless_cross_entropy_in_the_programs_layout(delay, expected):
    task = CopyMemory(make_config({"T": delay, "layout": "code"}))
    scores = dict.fromkeys(
        ("cross_entropy", "recall_cross_entropy", "recall_accuracy"), np.ones(1)
    )
    result = task.summarise(scores)["memoryless_cross_entropy"]
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_summary_and_end_of_adding(adding):
    scores = {"mse": np.array([0.04, 0.05]), "trivial_mse": np.array([0.1, 0.2])}
    summary = adding.summarise(scores)
    np.testing.assert_allclose(summary["trivial_mse"], 0.15)
    assert summary["solved"] == 1 and adding.stop(summary).startswith("solved")
    worse = adding.summarise(scores | {"mse": np.array([0.04, 0.07])})
    assert worse["solved"] == 0 and adding.stop(worse) is None
    with pytest.raises(UserError, match=r"data.T=1 must be 2 or more"):
        Adding(make_config({"T": 1}))


def test_training_is_not_ended_unasked():
    config = make_config({"T": 10})
    config.stop_when_solved = False
    assert Adding(config).stop({"solved": 1, "mse": 0.0}) is None


def test_digits_are_dealt_out_and_scored_by_part(digits):
    assert digits.units_per_example == 16
    assert digits.num_eval == 150 + 297 and digits.num_periodic == 150
    epoch = [digits.batch(step, slice(None)) for step in range(1350 // 4)]
    labels = np.concatenate([batch["labels"] for batch in epoch])
    np.testing.assert_allclose(np.bincount(labels) / len(labels), 0.1, atol=0.02)
    examples = digits.eval_batch(np.array([0, 149, 150, 446]))
    assert examples["test"].tolist() == [False, False, True, True]
    assert examples["pixels"].shape == (4, 16, 1)
    seen = digits.inputs(examples)
    assert float(seen.min()) >= 0.0 and 0.5 < float(seen.max()) <= 1.0
    scores = {
        "cross_entropy": np.array([1.0, 3.0, 5.0]),
        "accuracy": np.array([1.0, 0.0, 1.0]),
        "test": np.array([False, False, True]),
    }
    summary = digits.summarise(scores)
    assert summary["valid"] == {"cross_entropy": 2.0, "accuracy": 0.5}
    assert summary["test"] == {"cross_entropy": 5.0, "accuracy": 1.0}
    assert "test" not in digits.summarise({k: v[:2] for k, v in scores.items()})


def test_without_validation_there_is_no_best():
    task = Classification(digits_config(num_valid=0, num_train=50, num_test=20))
    assert task.best is None and task.num_eval == task.num_periodic == 20


def test_permuted_digits_have_the_same_pixels_in_another_order():
    plain, permuted = (
        Classification(digits_config(permute=value)).eval_batch(np.arange(5))["pixels"]
        for value in (False, True)
    )
    np.testing.assert_array_equal(permuted, plain[:, images.permutation(64)])
    assert (permuted != plain).any()


def test_noise_follows_colour_images(monkeypatch):
    rng = np.random.default_rng(0)
    result = LabelledImages(
        rng.integers(256, size=(9, 32, 32, 3)).astype(np.uint8),
        np.arange(9, dtype=np.uint8),
        rng.integers(256, size=(2, 32, 32, 3)).astype(np.uint8),
        np.arange(2, dtype=np.uint8),
    )
    monkeypatch.setattr(classification.cifar, "read", lambda path: result)
    settings = {"name": "cifar10", "length": 1000, "num_valid": 0}
    task = Classification(digits_config(**settings))
    assert task.units_per_example == 1000
    seen = np.asarray(task.inputs(task.eval_batch(np.arange(2))))
    assert seen.shape == (2, 1000, 96)
    # Row 3: red, green, blue, each from left to right.
    np.testing.assert_allclose(
        seen[1, 3], result.test[1, 3].T.ravel() / np.float32(255), rtol=1e-6
    )
    np.testing.assert_array_equal(seen[0, 32:], seen[1, 32:])
    np.testing.assert_array_equal(seen[0, 32:], images.noise(0, 968, 96))
    with pytest.raises(UserError, match=r"data.length=31 is shorter than the 32 steps"):
        Classification(digits_config(**settings | {"length": 31}))
    with pytest.raises(UserError, match=r"unknown data.name 'cifar'"):
        Classification(digits_config(name="cifar"))


MODELS = {
    "wrnn": WRNN,
    "cornn": {"units": 6},
    "nwm2d": {"grid": (4, 5), "channels": 2},
}


@pytest.mark.parametrize("name", MODELS)
def test_the_hidden_state_is_drawn(name, tmp_path):
    model = OSCILLATORS | MODELS[name] | {"name": name}
    task = Adding(make_config({"T": 10}, model))
    paths = task.figures(filled(lambda: task.init(jax.random.key(0))), tmp_path)
    assert [path.name for path in paths] == ["hidden_state.png", "hidden_spectrum.png"]
    for path in paths:
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_recall_is_drawn(copying, tmp_path):
    paths = copying.figures(filled(lambda: copying.init(jax.random.key(0))), tmp_path)
    assert paths[-1].name == "recall.png" and paths[-1].exists()


def test_a_new_wave_rnn_without_bias_is_all_on_the_line():
    model = WRNN | {"units": 16, "activation": "identity", "zero_coupling_bias": True}
    task = Adding(make_config({"T": 32}, model))
    result = task.evaluations(["wave_line"])["wave_line"]
    assert result.num_eval == 6
    batch = result.eval_batch(np.arange(6))
    np.testing.assert_array_equal(batch["sums"][0], task.eval_batch([5])["sums"][0])
    scores = jax.jit(result.score)(task.init(jax.random.key(0)), batch)
    text = result.summarise({k: np.asarray(v) for k, v in scores.items()})["wave_line"]
    assert text["fraction"] > 0.6
    assert text["backward"] < 0.2
    assert text["area"] == pytest.approx(3 / 32)
    oscillators = OSCILLATORS | MODELS["nwm2d"] | {"name": "nwm2d"}
    with pytest.raises(UserError, match="unknown metric 'wave_line'; choose from mse"):
        Adding(make_config({"T": 10}, oscillators)).evaluations(["wave_line"])


@pytest.mark.parametrize("length", [2, 3])
def test_scores_that_short_sequences_cannot_give_are_left_out_with_a_line(length):
    task = Adding(make_config({"T": length}))
    assert list(task.evaluations()) == ["mse", "wave_line"]
    assert f"waves needs 4 steps, sequences have {length}" in task.note
    with pytest.raises(UserError, match="waves needs 4 steps"):
        task.evaluations(["waves"])
    assert "left out" not in Adding(make_config({"T": 4})).note
