"""The forecasting task: what it shows to the model, and how it scores."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nwm_jax.config import presets
from nwm_jax.core import image_errors
from nwm_jax.core.oscillator import OscillatorState
from nwm_jax.data.source import FramesSource
from nwm_jax.errors import UserError
from nwm_jax.experiments.forecasting import symetric
from nwm_jax.experiments.forecasting import task as forecasting
from nwm_jax.experiments.forecasting.task import Forecasting
from nwm_jax.figures import animation, strip, waves
from nwm_jax.models.forecaster import Forecaster
from nwm_jax.modules import functional
from nwm_jax.training import evaluating, loop
from nwm_jax.training.mesh import make_mesh
from nwm_jax.training.registry import build
from tests.helpers import tiny_forecasting


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return tiny_forecasting.write(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def task(clips):
    return build(tiny_forecasting.config(clips))


class Oracle:
    """A model that knows the bar moves one row a frame."""

    num_observed = 3
    reversible = False

    def reconstruct(self, images):
        frames = [jnp.roll(images[:, 0], t, axis=1) for t in range(1, images.shape[1])]
        return jnp.stack(frames, axis=1)


def test_a_batch_is_a_function_of_seed_and_step(task, clips):
    batch = task.batch(3, slice(None))
    assert batch["frames"].shape == (4, 6, 8, 8, 3)
    again = build(tiny_forecasting.config(clips)).batch(3, slice(None))
    np.testing.assert_array_equal(batch["frames"], again["frames"])
    other = build(tiny_forecasting.config(clips, seed=1)).batch(3, slice(None))
    assert not np.array_equal(batch["frames"], other["frames"])
    assert not np.array_equal(batch["frames"], task.batch(4, slice(None))["frames"])


def test_processes_get_their_rows_of_the_same_batch(task):
    whole = task.batch(5, slice(None))["frames"]
    parts = [task.batch(5, np.array(rows))["frames"] for rows in ([0, 1], [2, 3])]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_windows_of_the_evaluation_do_not_depend_on_the_training_seed(task, clips):
    other = build(tiny_forecasting.config(clips, seed=7))
    indices = np.arange(5)
    np.testing.assert_array_equal(
        task.eval_batch(indices)["frames"], other.eval_batch(indices)["frames"]
    )


def test_inputs_and_targets_are_the_right_frames(monkeypatch):
    """Inputs 0..58 and targets 1..59: shown on clips whose pixels are frame numbers."""
    frames = (
        np.zeros((2, 120, 8, 8, 3), np.uint8)
        + np.arange(120, dtype=np.uint8)[:, None, None, None]
    )
    seen = {}

    class Spy:
        num_observed = 31
        reversible = False

        def reconstruct(self, images):
            seen["evaluation"] = images
            return images[:, 1:]

    config = presets.load("pendulum_nwm2d:paper,model.grid=(3,4),model.conv_channels=2")
    task = Forecasting(config, _array_source(frames))
    batch = task.source.read("train", np.array([0]), np.array([0]), 60)
    errors_of = image_errors.frame_errors

    def predict(model, images):
        seen["inputs"] = images
        return images

    def frame_errors(forecast, truth):
        seen["targets"] = truth
        return errors_of(forecast, truth)

    with monkeypatch.context() as patched:
        patched.setattr(Forecaster, "predict", predict)
        patched.setattr(image_errors, "frame_errors", frame_errors)
        _, params, state = functional.split(task.init(jax.random.key(0)))
        _, (metrics, _) = task.loss(params, state, batch, jax.random.key(1))
    for name, numbers in (("inputs", range(59)), ("targets", range(1, 60))):
        assert seen[name].shape[1] == 59
        np.testing.assert_array_equal(
            np.round(255 * seen[name][0, :, 0, 0, 0]), np.array(numbers)
        )
    # Every prediction here is the frame before: one grey level off.
    np.testing.assert_allclose(metrics["mse"], 1 / 255**2, rtol=1e-4)
    assert task.windows.window == 120
    scores = task.score(Spy(), task.eval_batch(np.array([0])))
    np.testing.assert_array_equal(
        np.round(255 * seen["evaluation"][0, :, 0, 0, 0]), np.arange(120)
    )
    # The last frame that was seen is frame 30; frame 60 is the first that is scored.
    errors = scores["last_frame/mse"][0]
    np.testing.assert_allclose(errors[29], 0.0)
    np.testing.assert_allclose(errors[59], (30 / 255) ** 2, rtol=1e-5)
    summary = task.summarise({name: np.asarray(v) for name, v in scores.items()})
    expected = np.mean((np.arange(60, 120) - 30.0) ** 2) / 255**2
    np.testing.assert_allclose(summary["mse"]["last_frame"], expected, rtol=1e-5)


def test_a_perfect_model_scores_zero_and_the_baselines_do_not(task):
    batch = task.eval_batch(np.arange(5))
    scores = {k: np.asarray(v) for k, v in task.score(Oracle(), batch).items()}
    assert scores.pop("lit").all()
    assert set(scores) == {
        f"{who}/{what}"
        for who in ("forecast", "mean_image", "last_frame")
        for what in ("mse", "relative_mse")
    }
    assert all(values.shape == (5, 9) for values in scores.values())
    scores["lit"] = np.ones((5, 10), bool)
    summary = task.summarise(scores)
    for measure in ("mse", "relative_mse", "table_units"):
        assert summary[measure]["forecast"] < 1e-10
        assert summary[measure]["mean_image"] > 1e-3
        assert summary[measure]["last_frame"] > 1e-3
    np.testing.assert_allclose(
        summary["table_units"]["mean_image"],
        1e8 * summary["relative_mse"]["mean_image"] / (8 * 8 * 3),
    )
    per_frame = summary["per_frame"]
    assert per_frame["frame"] == list(range(1, 10))
    assert len(per_frame["relative_mse"]["forecast"]) == 9
    # The last observed frame is frame 2: its own error is zero, the next one's not.
    assert per_frame["mse"]["last_frame"][1] == 0.0
    assert per_frame["mse"]["last_frame"][2] > 0.0


def test_mean_image_is_the_mean_of_training_windows(task):
    mean = task.windows.mean_image
    assert mean.shape == (8, 8, 3)
    frames = task.source.read("train", np.arange(7), np.zeros(7, int), 14)["frames"]
    assert frames.min() / 255 <= mean.min() <= mean.max() <= frames.max() / 255
    # The bar is in every row equally often.
    np.testing.assert_allclose(mean.mean(), frames.mean() / 255, rtol=0.05)


def test_loss_is_the_models_loss_on_the_rendered_images(task):
    model = task.init(jax.random.key(0))
    _, params, state = functional.split(model)
    batch = task.batch(0, slice(None))
    loss, (metrics, after) = jax.jit(task.loss)(params, state, batch, jax.random.key(1))
    want, _ = jax.jit(lambda m, x: m.loss(x))(
        model, task.source.decode(batch)["images"]
    )
    np.testing.assert_allclose(loss, want, rtol=1e-6)
    assert set(metrics) == {"mse", "relative_mse"}
    assert jax.tree.leaves(after) == []


class Counter(nnx.Module):
    """Counts its losses, in a variable that is not a parameter."""

    num_observed, train_length, reversible = 3, 7, False

    def __init__(self):
        self.scale = nnx.Param(jnp.float32(2.0))
        self.calls = nnx.Variable(jnp.float32(0.0))

    def loss(self, images, key):
        self.calls[...] = self.calls[...] + 1
        noise = jax.random.normal(key)
        return self.scale[...] * jnp.mean(images), {"mse": noise}


def test_what_a_model_changes_in_itself_is_the_next_state(task, monkeypatch):
    monkeypatch.setattr(forecasting, "build", lambda *args, **options: Counter())
    other = Forecasting(task.config, task.source)
    assert other.units_per_example == other.train_length == 7
    assert other.windows.window == 11
    batch = other.batch(0, slice(None))
    assert batch["frames"].shape[:2] == (4, 7)
    _, params, state = functional.split(other.init(jax.random.key(0)))
    step = jax.jit(jax.value_and_grad(other.loss, has_aux=True))
    for count in range(1, 3):
        key = jax.random.key(count)
        (_, (metrics, state)), grads = step(params, state, batch, key)
        assert float(state["calls"]) == count
        np.testing.assert_allclose(metrics["mse"], jax.random.normal(key))
    np.testing.assert_allclose(
        grads["scale"], task.source.decode(batch)["images"].mean(), 1e-5
    )


@pytest.mark.slow
def test_every_metric_of_a_model_of_both_directions_on_four_devices(
    tmp_path, monkeypatch
):
    """A Hamiltonian model on the spring, untrained: as on one device."""
    monkeypatch.setattr(symetric, "MAX_ORDER", 1)
    config = presets.load(
        "spring_hgn:smoke,data.num_frames=34,data.num_train=4,data.num_test=5,"
        "model.conv_channels=2,eval.num_windows=5,eval.num_mean_windows=4,"
        f"data.cache_dir={tmp_path}"
    )
    task = build(config)
    assert list(task.evaluations()) == ["mse", "vpt", "energy"]
    with pytest.raises(UserError, match="hgn has no field of oscillators"):
        task.evaluations(["waves"])
    params, state = functional.split(task.init(jax.random.key(0)))[1:]
    metrics = [name for name in forecasting.METRICS if name != "waves"]
    flat = []
    for devices in (jax.devices()[:1], jax.devices()):
        outcome = {}
        for name, evaluation in task.evaluations(metrics).items():
            outcome[name] = evaluating.run_eval(
                evaluation, params, state, make_mesh(devices), 4
            )
        flat.append(evaluating.flatten(outcome))
    one, four = flat
    assert one.keys() == four.keys()
    assert {
        "mse/combined/mse",
        "vpt/vpt/backward_abs",
        "energy/energy/model_drift",
    } <= (one.keys())
    for name, value in one.items():
        np.testing.assert_allclose(value, four[name], 1e-3, 1e-4, err_msg=name)


@pytest.mark.slow
def test_a_run_on_four_devices_equals_a_run_on_one(task, tmp_path):
    """Losses and parameters to 1e-5 after four steps."""
    config, results = task.config, []
    for count in (1, 4):
        result = loop.train(
            config, task, tmp_path / str(count), devices=jax.devices()[:count]
        )
        rows = loop.sinks.read_metrics(tmp_path / str(count))
        losses = [row["loss"] for row in rows if row["kind"] == "train"]
        results.append((losses, jax.tree.leaves(result.state.params)))
    (losses, params), (other_losses, other_params) = results
    assert len(losses) == 2
    np.testing.assert_allclose(losses, other_losses, rtol=1e-5)
    for one, four in zip(params, other_params, strict=True):
        np.testing.assert_allclose(one, four, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_a_few_steps_lower_the_loss(task, tmp_path):
    config = task.config.copy_and_resolve_references()
    config.update({"num_steps": 60, "log_every": 20, "checkpoint_every": 60})
    config.optimizer.learning_rate = 3e-3
    loop.train(config, task, tmp_path, devices=jax.devices()[:1])
    rows = loop.sinks.read_metrics(tmp_path)
    losses = [row["mse"] for row in rows if row["kind"] == "train"]
    assert losses[-1] < 0.5 * losses[0]


def test_clear_errors(clips):
    with pytest.raises(UserError, match=r"14 frames, .* needs 26 .* lower model"):
        build(tiny_forecasting.config(clips, **{"eval.horizon": 20}))
    config = tiny_forecasting.config(clips)
    config.task = "dancing"
    with pytest.raises(UserError, match="unknown task 'dancing'"):
        build(config)
    config = tiny_forecasting.config(clips)
    config.model.name = "hgn3"
    with pytest.raises(UserError, match="unknown model 'hgn3'"):
        build(config)


def test_black_frames_have_no_relative_error(clips):
    """Frame 5 of every window is black, frame 8 of one: they count for the MSE alone."""
    frames = np.full((2, 10, 8, 8, 3), 50, np.uint8)
    frames[:, 5] = frames[0, 8] = 0
    config = tiny_forecasting.config(clips, **{"eval.num_windows": 2})
    task = Forecasting(config, _array_source(frames))

    class Half:
        num_observed = 3
        reversible = False

        def reconstruct(self, images):
            return images[:, 1:] / 2

    def summarise(model):
        scores = jax.jit(lambda batch: task.score(model, batch))(
            task.source.read("test", np.arange(2), np.zeros(2, int), 10)
            | {"mean_image": np.zeros((2, 8, 8, 3), np.float32)}
        )
        return task.summarise({k: np.asarray(v) for k, v in scores.items()})

    summary = summarise(Half())
    relative = summary["per_frame"]["relative_mse"]["forecast"]
    np.testing.assert_allclose(relative, [0.25] * 4 + [np.nan] + [0.25] * 4, rtol=1e-5)
    assert summary["per_frame"]["mse"]["forecast"][4] == 0
    np.testing.assert_allclose(summary["relative_mse"]["forecast"], 0.25, rtol=1e-5)
    np.testing.assert_allclose(summary["standard_error"], 0.0, atol=1e-6)

    class Diverged(Half):
        def reconstruct(self, images):
            return images[:, 1:] * jnp.nan

    summary = summarise(Diverged())
    assert np.isnan(summary["mse"]["forecast"])
    assert np.isnan(summary["relative_mse"]["forecast"])


def test_clips_need_one_channel_or_three(clips):
    for channels in (2, 4):
        frames = np.zeros((2, 10, 8, 8, channels), np.uint8)
        with pytest.raises(UserError, match=f"have {channels} channels: save them"):
            Forecasting(tiny_forecasting.config(clips), _array_source(frames))


def test_pictures_of_ones_own_clips_have_row_0_at_the_top(task, tmp_path, monkeypatch):
    seen = {}
    for module, name in (
        (strip, "draw"),
        (animation, "save"),
        (waves, "draw_snapshots"),
        (waves, "draw_space_time"),
    ):

        def draw(path, *args, name=name, **options):
            seen[name] = options.get("origin")
            return path

        monkeypatch.setattr(module, name, draw)

    def roll_out(model, images):
        field = jnp.zeros((1, 9, 3, 4, 1))
        return Oracle.reconstruct(model, images), OscillatorState(field, field)

    monkeypatch.setattr(Forecaster, "roll_out", roll_out)
    assert task.source.origin == "upper"
    for origin in ("upper", "lower"):
        monkeypatch.setattr(task.source, "origin", origin)
        task.figures(task.init(jax.random.key(0)), tmp_path)
        assert seen.pop("draw_space_time") is None
        assert seen == dict.fromkeys(("draw", "save", "draw_snapshots"), origin)
        # A model without a field has a strip and a movie.
        seen.clear()
        task.figures(Oracle(), tmp_path)
        assert seen == dict.fromkeys(("draw", "save"), origin)
        seen.clear()


def _array_source(frames):
    source = FramesSource.__new__(FramesSource)
    source.num_frames, source.image_shape = frames.shape[1], frames.shape[2:]
    source._frames = {"train": frames, "test": frames}
    return source


def test_scores_that_short_clips_cannot_give_are_left_out_with_a_line(tmp_path):
    # Windows of 7 frames, of which 3 are observed: 3 states of the forecast.
    path = tiny_forecasting.write(tmp_path)
    task = build(tiny_forecasting.config(path, **{"eval.horizon": 1}))
    assert "waves" not in task.evaluations()
    for word in ("waves", "model.num_observed=3", "eval.horizon=1"):
        assert word in task.note
    with pytest.raises(UserError, match=r"waves needs 4 frames .* leave it away"):
        task.evaluations(["waves"])
    task = build(tiny_forecasting.config(path, **{"eval.horizon": 2}))
    assert "waves" in task.evaluations() and not task.note
