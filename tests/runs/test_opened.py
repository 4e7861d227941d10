"""Opening, scoring, drawing, exporting and forecasting with a finished run."""

import json
import pathlib
import types

import jax
import numpy as np
import pytest
from PIL import Image

import nwm_jax
from nwm_jax import files
from nwm_jax.config import presets
from nwm_jax.errors import UserError
from nwm_jax.figures import waves
from nwm_jax.interop import forecasters
from nwm_jax.models import compiled
from nwm_jax.modules import functional
from nwm_jax.runs import drawing, scores
from nwm_jax.runs import opened as runs
from nwm_jax.training import loop, non_finite
from nwm_jax.training.registry import build
from nwm_jax.training.writers import read_metrics
from tests.helpers import tiny_forecasting


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config = tiny_forecasting.config(
        tiny_forecasting.write(folder), **{"eval.every": 2}
    )
    task = build(config)
    result = loop.train(config, task, folder / "w", devices=jax.devices()[:1])
    opened = runs.open_run(folder / "w")
    for a, b in zip(
        jax.tree.leaves(result.state.params),
        jax.tree.leaves(functional.split(opened.model)[1]),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    return opened


def test_load_gives_the_model_of_a_step(run):
    last = nwm_jax.load(run.workdir)
    early = nwm_jax.load(run.workdir, which=2)
    assert run.step == 4
    best = runs.open_run(run.workdir, "best")
    assert best.step in (2, 4)
    assert not np.array_equal(last.cell.bias[...], early.cell.bias[...])
    with pytest.raises(UserError, match="3"):
        nwm_jax.load(run.workdir, which=3)


def test_evaluate_writes_what_the_design_names(run):
    report = runs.evaluate(run)
    stored = json.loads((run.workdir / "eval.json").read_text())
    assert stored == json.loads(json.dumps(report))
    assert stored["step"] == 4
    assert stored["num_windows"] == 5
    assert stored["protocol"].startswith("smoke + ")
    assert stored["name"] == "pendulum_nwm2d"
    # Clips of your own, whatever the config is called.
    path = pathlib.Path(run.config.data.path)
    assert stored["dataset"] == f"{path.parent.name}/frames.npy"
    assert stored["path"] == str(path)
    assert stored["model"] == "nwm2d"
    assert stored["preset"] == "smoke"
    assert stored["num_parameters"] == functional.count(functional.split(run.model)[1])
    for measure in ("mse", "relative_mse", "table_units"):
        assert set(stored[measure]) == {"forecast", "mean_image", "last_frame"}
        assert all(np.isfinite(value) for value in stored[measure].values())
    # Clips of 14 frames, of which 6 are a training clip; two test clips.
    assert stored["vpt"]["segment"] == 8
    assert stored["vpt"]["num_trajectories"] == 2
    assert 0 <= stored["vpt"]["forward_abs"] <= 8
    # Your own clips have no known states, and no energy.
    assert not {"energy", "symetric", "backward"} & stored.keys()


def test_the_validation_split_has_a_file_of_its_own(run):
    before = runs.evaluate(run)
    outcome = runs.evaluate(run, ["mse", "vpt"], split="valid")
    assert outcome == json.loads((run.workdir / "eval_valid.json").read_text())
    assert (outcome["split"], outcome["step"]) == ("valid", 4)
    # One clip is left out of eight for it.
    assert outcome["vpt"]["num_trajectories"] == 1
    assert outcome["relative_mse"]["forecast"] != before["relative_mse"]["forecast"]
    assert json.loads((run.workdir / "eval.json").read_text()) == before
    # Training was followed by it: the last row is of the same weights and windows.
    row = [row for row in read_metrics(run.workdir) if row["kind"] == "eval"][-1]
    for name in ("forecast", "mean_image", "last_frame"):
        np.testing.assert_allclose(
            row[f"relative_mse/{name}"], outcome["relative_mse"][name], rtol=1e-5
        )


def test_a_task_without_a_validation_split(run):
    other = run._replace(task=types.SimpleNamespace(validation=None))
    with pytest.raises(UserError, match="has no split valid of its own"):
        runs.evaluate(other, split="valid")


def test_errors_of_windows_and_what_training_took(run):
    report = runs.evaluate(run)
    windows = report["per_window"]["relative_mse"]
    assert len(windows) == 5
    np.testing.assert_allclose(np.mean(windows), report["relative_mse"]["forecast"])
    assert 0 < report["cpu_seconds"] == read_metrics(run.workdir)[-2]["cpu_seconds"]


def test_a_run_that_diverged_has_an_evaluation_that_says_so(run, tmp_path):
    error = non_finite.NonFiniteError("x", 7, {"loss": float("nan"), "grad_norm": 2.0})
    scores.write_divergence(tmp_path, run.config, run.task, error)
    stored = json.loads((tmp_path / "eval.json").read_text())
    assert stored["diverged"] == {"step": 8, "loss": "nan", "grad_norm": "2.0"}
    same = {"name", "protocol", "seed", "num_parameters", "num_windows", "model"}
    report = runs.evaluate(run)
    assert {key: stored[key] for key in same} == {key: report[key] for key in same}
    assert stored["step"] == 7


@pytest.mark.slow
def test_metrics_are_added_to_those_of_the_same_step(run):
    path = run.workdir / "eval.json"
    path.unlink(missing_ok=True)
    output = []

    def counter(name):
        output.append(name)
        return lambda done, total: None

    # Nothing is there yet: the task's own scores come too.
    runs.evaluate(run, ["vpt"], counter)
    assert output == ["forecasting", "vpt"]
    stored = json.loads(path.read_text())
    assert {"mse", "per_frame", "vpt"} <= stored.keys()
    path.write_text(json.dumps(stored | {"symetric": {"score": 1.0}}))
    output.clear()
    report = runs.evaluate(run, ["vpt"], counter)
    assert output == ["vpt"]
    assert report["symetric"] == {"score": 1.0}
    assert report["mse"] == stored["mse"]
    # Scores of another step are not kept, nor what is no evaluation.
    for text in ("{}", "[]", '{"step": 4}'):
        path.write_text(text)
        assert scores.read_scores(run.workdir) == {}
        assert {"mse", "vpt"} <= runs.evaluate(run, ["vpt"]).keys()
    path.write_text(json.dumps(stored | {"step": 3, "symetric": {"score": 1.0}}))
    report = runs.evaluate(run, ["vpt"])
    assert "symetric" not in report
    assert report["step"] == 4


def test_what_cannot_be_computed_is_reported(run):
    with pytest.raises(UserError, match="unknown metric 'vtp'; did you mean 'vpt'"):
        runs.evaluate(run, ["mse", "vtp"])
    with pytest.raises(UserError, match="true states, which are not known of"):
        runs.evaluate(run, ["symetric"])
    with pytest.raises(
        UserError, match=r"energy needs three or more .*frames.npy: leave"
    ):
        runs.evaluate(run, ["energy"])


@pytest.mark.parametrize("metric", ["mse", "vpt"])
def test_scores_do_not_depend_on_the_number_of_devices_or_the_batch(run, metric):
    evaluate = loop.evaluating.run_eval
    _, params, state = functional.split(run.model)
    evaluation = run.task.evaluations([metric])[metric]
    reports = [
        evaluate(evaluation, params, state, loop.meshes.make_mesh(devices), size)
        for devices, size in ((jax.devices()[:1], 5), (jax.devices(), 4))
    ]
    one, four = (loop.evaluating.flatten(report) for report in reports)
    assert one.keys() == four.keys()
    for name, value in one.items():
        np.testing.assert_allclose(value, four[name], 1e-5, 1e-5, err_msg=name)


def test_figures_are_pictures(run):
    runs.evaluate(run)
    paths = drawing.draw(run)
    assert {path.name for path in paths} == {
        "strip.png",
        "forecast.webp",
        "wave.png",
        "space_time.png",
        "error.png",
        "loss.png",
    }
    check_pictures(paths)
    with Image.open(run.workdir / "figures" / "forecast.webp") as movie:
        assert movie.n_frames == 9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "boundary"), [("nwm1d", ("open", "periodic")), ("cornn", None)]
)
def test_the_other_models_train_and_draw(model, boundary, tmp_path, monkeypatch):
    config = tiny_forecasting.config(
        tiny_forecasting.write(tmp_path), model, steps_per_dispatch=1
    )
    task = build(config)
    result = loop.train(config, task, tmp_path / "w", devices=jax.devices()[:1])
    assert result.finished
    seen = {}
    draw_snapshots = waves.draw_snapshots

    def spy(*args, **options):
        seen.update(options)
        return draw_snapshots(*args, **options)

    monkeypatch.setattr(waves, "draw_snapshots", spy)
    paths = drawing.draw(runs.open_run(tmp_path / "w", task=task))
    check_pictures(paths)
    # The units of the globally coupled model have no place.
    placed = {"wave.png", "space_time.png"} if boundary else set()
    names = {"strip.png", "forecast.webp", "loss.png"} | placed
    assert {path.name for path in paths} == names
    assert seen.get("boundary") == boundary


def check_pictures(paths):
    for path in paths:
        with Image.open(path) as picture:
            picture.load()
            assert min(picture.size) > 100


def test_export_has_the_constants_of_linear_waves(tmp_path, monkeypatch):
    config = presets.load("pendulum_lwm2d:smoke")
    model = build(config).init(jax.random.key(0))
    made = types.SimpleNamespace(model=model, config=config, step=0)
    monkeypatch.setattr(runs, "open_run", lambda *_: made)
    path = nwm_jax.export(tmp_path / "run", tmp_path / "weights.npz")
    with np.load(path, allow_pickle=False) as stored:
        output = json.loads(stored["config.json"].tobytes())
        (place, constants), *others = output["constants"].items()
        assert not others
        for name in ("gamma", "alpha"):
            expected = np.log1p(np.exp(stored[f"{place}/{name}"]))
            np.testing.assert_allclose(constants[name], expected, rtol=1e-5)
        expected = 1 / (1 + np.exp(-stored[f"{place}/dt"]))
        np.testing.assert_allclose(constants["dt"], expected, rtol=1e-5)
    # The original has no such cell.
    assert forecasters.identify(model) is None


def test_export_holds_every_weight_by_its_path(run, tmp_path):
    path = nwm_jax.export(run.workdir, tmp_path / "weights.npz")
    with np.load(path, allow_pickle=False) as archive:
        stored = dict(archive)
    output = json.loads(stored.pop("config.json").tobytes())
    assert output["step"] == 4
    assert output["config"]["model"]["name"] == "nwm2d"
    np.testing.assert_array_equal(stored["cell/bias"], run.model.cell.bias[...])
    np.testing.assert_array_equal(
        stored["decoder/convs/6/kernel"], run.model.decoder.convs[6].kernel[...]
    )
    cell = run.model.cell
    raw = stored["cell/dt"]
    assert output["constants"]["cell"] == pytest.approx(
        {
            "dt": 1 / (1 + np.exp(-raw)),
            "gamma": max(float(cell.gamma[...]), 0.0),
            "alpha": max(float(cell.alpha[...]), 0.0),
        }
    )
    sizes = sum(array.size for array in stored.values())
    assert sizes == functional.count(functional.split(run.model)[1])
    with pytest.raises(UserError, match=r"ending in .npz"):
        nwm_jax.export(run.workdir, tmp_path / "weights.pt")


@pytest.mark.parametrize("axes", [4, 5])
def test_forecast_of_ones_own_clips(run, tmp_path, axes):
    clips = np.load(run.config.data.path)[:2]
    clips = clips[0] if axes == 4 else clips
    np.save(tmp_path / "in.npy", clips)
    path = runs.forecast(run, tmp_path / "in.npy", tmp_path / "out.npy", 7)
    written = np.load(path)
    assert written.dtype == np.uint8
    assert written.shape == (*clips.shape[:-4], 7, 8, 8, 3)
    images = clips.reshape(-1, *clips.shape[-4:])[:1, -3:] / np.float32(255)
    want = run.model.forecast(images, 7)
    np.testing.assert_allclose(
        written.reshape(-1, 7, 8, 8, 3)[0], 255 * want[0], atol=1.0
    )


def test_a_loaded_model_compiles_once_for_each_shape(run):
    compiled._program.cache_clear()
    clips = np.load(run.config.data.path)
    model = nwm_jax.load(run.workdir)
    first = model.forecast(clips[:2, :4], 3)
    assert first.shape == (2, 3, 8, 8, 3)
    model.states(clips[:2, :5])
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(type(model), "_observe")  # nothing is traced again
        again = model.forecast(clips[:2, :4], horizon=3)
        model.states(clips[:2, :5])
        # Other weights, the same program.
        other = nwm_jax.load(run.workdir, which=2).forecast(clips[:2, :4], 3)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert compiled._program.cache_info().currsize == 2
    inside = jax.jit(lambda model, x: model.forecast(x, 3))
    np.testing.assert_allclose(
        inside(model, clips[:2, :4] / np.float32(255)), first, atol=1e-6
    )


def test_a_forecast_that_does_not_fit_is_refused_before_it_runs(run, monkeypatch):
    clips = np.load(run.config.data.path)[:2, :4]
    model = nwm_jax.load(run.workdir)
    monkeypatch.setattr(files, "machine_memory", lambda: 10**6)
    text = r"^forecast\(\[2, 4, 8, 8, 3\], 5000\): .* GB .* 0.001 GB; ask for fewer"
    with pytest.raises(UserError, match=text):
        model.forecast(clips, 5000)


def test_a_loaded_model_checks_its_images(run):
    model = nwm_jax.load(run.workdir)
    clips = np.load(run.config.data.path)[:2, :4]
    floats = clips / np.float32(255)
    np.testing.assert_array_equal(model.forecast(clips, 2), model.forecast(floats, 2))
    cases = [
        (floats[..., :1], "3 channels, not 1"),
        (np.moveaxis(floats, -1, 2), "channels last: numpy.moveaxis"),
        (floats[:, :, :4], "resize"),
        (floats[0], r"a single clip needs images\[None\]"),
        (floats[:0], "nothing in it"),
        (255 * floats, "from 5 to 95: give floats in"),
        (floats - 1, "give floats in"),
        (np.where(floats > 0.1, np.nan, floats), "nan"),
        (clips.astype(int), "int64: give floats"),
    ]
    for images, message in cases:
        for method in (lambda x: model.forecast(x, 2), model.states):
            with pytest.raises(UserError, match=message) as error:
                method(images)
            assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="1 observed frames"):
        model.forecast(floats[:, :1], 2)


def test_forecast_refuses_what_does_not_fit(run, tmp_path):
    target = tmp_path / "out.npy"
    cases = [
        (np.zeros((5, 8, 8, 3)), "float64"),
        (np.zeros((8, 8, 3), np.uint8), "shape"),
        (np.zeros((5, 16, 16, 3), np.uint8), "in.npy: .*resize"),
        (np.zeros((5, 8, 8, 1), np.uint8), "in.npy: .*3 channels, not 1"),
        (np.zeros((5, 3, 8, 8), np.uint8), "channels last"),
        (np.zeros((2, 8, 8, 3), np.uint8), "observes 3"),
    ]
    for array, message in cases:
        np.save(tmp_path / "in.npy", array)
        with pytest.raises(UserError, match=message):
            runs.forecast(run, tmp_path / "in.npy", target, 2)
    with pytest.raises(UserError, match="does not exist"):
        runs.forecast(run, tmp_path / "no.npy", target, 2)
    with pytest.raises(UserError, match=r"ending in .npy"):
        runs.forecast(run, tmp_path / "in.npy", tmp_path / "out.gif", 2)
    assert not target.exists()


def test_what_is_no_workdir_is_reported(tmp_path):
    with pytest.raises(UserError, match="not a workdir"):
        nwm_jax.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="not readable JSON"):
        nwm_jax.load(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(UserError, match="does not hold the config"):
        nwm_jax.load(tmp_path)
