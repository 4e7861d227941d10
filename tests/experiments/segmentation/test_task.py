"""The segmentation task: batches, scores without skill, what is followed and drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nwm_jax.config import presets
from nwm_jax.core import segmentation
from nwm_jax.core.layouts import IMAGES
from nwm_jax.data.segmentation import source as sources
from nwm_jax.data.segmentation.source import EnlargedDigits, open_source
from nwm_jax.errors import UserError
from nwm_jax.modules import functional
from nwm_jax.training.registry import build


@pytest.fixture
def make(tmp_path):
    def make(spec="polygons_nwm:smoke"):
        config = presets.load(spec)
        config.data.cache_dir = str(tmp_path)
        return build(config)

    return make


def test_batches_depend_on_seed_and_step_alone(make):
    task, again = make(), make()
    for step in (0, 3):
        whole = task.batch(step, np.arange(8))
        part = again.batch(step, np.array([2, 5]))
        for name in ("images", "labels"):
            np.testing.assert_array_equal(whole[name][[2, 5]], part[name])
    assert whole["images"].shape == (8, 32, 32, 1)
    # Twenty images: the third batch of eight straddles two epochs.
    seen = np.concatenate(
        [task.batch(step, slice(None))["images"] for step in range(5)]
    )
    assert len(np.unique(seen[:20].reshape(20, -1), axis=0)) == 20


def test_evaluation_is_valid_then_test(make):
    task = make()
    assert (task.num_eval, task.num_periodic) == (40, 20)
    batch = task.eval_batch(np.array([25, 3, 19, 20]))
    assert batch["test"].tolist() == [True, False, False, True]
    valid = task.source.read("valid", np.array([3, 19]))["labels"]
    test = task.source.read("test", np.array([5, 0]))["labels"]
    np.testing.assert_array_equal(batch["labels"][[1, 2]], valid)
    np.testing.assert_array_equal(batch["labels"][[0, 3]], test)


def test_a_model_that_answers_background_is_told_to_have_collapsed(make):
    task = make()
    batch = task.eval_batch(np.arange(40))
    labels = jnp.asarray(task.source.decode(batch)["labels"])
    share = jnp.bincount(labels[20:].ravel(), length=5) / labels[20:].size
    logits = jnp.broadcast_to(jnp.log(share), (*labels.shape, 5))
    sums = segmentation.all_sums(IMAGES, logits, labels)
    scores = {k: np.asarray(v) for k, v in sums.items()} | {"test": batch["test"]}
    result = task.summarise(scores)
    assert result["collapsed"] == 1
    assert result["test"]["accuracy_foreground"] == 0
    # The best constant answer has the entropy of the classes as its loss.
    for name in ("accuracy", "iou", "cross_entropy"):
        assert result["test"][name] == pytest.approx(
            result["background"][name], rel=1e-5
        )
    sums = segmentation.all_sums(IMAGES, 9.0 * jax.nn.one_hot(labels, 5), labels)
    scores = {k: np.asarray(v) for k, v in sums.items()} | {"test": batch["test"]}
    result = task.summarise(scores)
    assert result["collapsed"] == 0
    assert result["test"]["iou_classes"] == result["test"]["iou_legacy"] == 1


def test_loss_and_score_agree(make):
    task = make("polygons_cnn:smoke")
    graphdef, params, rest = functional.split(task.init(jax.random.key(0)))
    batch = task.eval_batch(np.arange(8))
    loss, (metrics, _) = jax.jit(task.loss)(params, rest, batch, jax.random.key(1))
    model = functional.merge(graphdef, params, rest)
    sums = jax.jit(task.score)(model, batch)
    mean = float(sums["cross_entropy"].sum()) / (8 * 32 * 32)
    assert float(loss) == pytest.approx(mean, rel=1e-5)
    assert float(metrics["accuracy"]) == pytest.approx(
        float(sums["right"].sum()) / (8 * 32 * 32)
    )


def test_a_u_net_carries_its_statistics(make):
    task = make("polygons_unet:smoke")
    _, params, rest = functional.split(
        nnx.eval_shape(lambda: task.init(jax.random.key(0)))
    )
    assert jax.tree.leaves(rest)
    batch = task.batch(0, slice(None))
    _, (_, state) = jax.eval_shape(task.loss, params, rest, batch, jax.random.key(1))
    assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, rest)


def test_flops_grow_with_the_steps(make):
    few = make("polygons_nwm:smoke").forward_flops()
    many = make("polygons_nwm:smoke,T=110").forward_flops()
    per_step = (many - few) / (100 * 8 * 32 * 32)
    # 72 of the coupling, the rest of the features and of the perceptron behind them.
    assert 72 < per_step < 500


def test_the_middle_feels_what_is_near(make):
    task = make()
    model = task.init(jax.random.key(0))
    images = np.asarray(task.source.decode(task.eval_batch(np.arange(2)))["images"])
    field = task.receptive_field(model, images)
    assert field.shape == (32, 32)
    # Ten steps and the encoders reach 10 + 4 cells and no farther.
    assert field[16, 16] > 0
    reach = np.abs(np.argwhere(field > 0) - 16).max()
    assert 5 <= reach <= 14


def test_drawn_images_are_drawn_once(make, monkeypatch):
    first = make().source.read("train", np.arange(3))["images"]

    def fail(*args, **kwargs):
        raise AssertionError("drawn again")

    monkeypatch.setattr(sources.polygons, "draw", fail)
    again = make().source.read("train", np.arange(3))["images"]
    np.testing.assert_array_equal(first, again)
    with pytest.raises(AssertionError, match="drawn again"):
        make("polygons_nwm:smoke,data.seed=1").source.read("train", np.arange(3))


def resize(x):
    return jax.image.resize(x, (len(x), 56, 56), "bilinear")


def test_digits_are_enlarged():
    rng = np.random.default_rng(0)
    digits = rng.integers(0, 256, (3, 28, 28), np.uint8)
    part = digits, np.array([8, 0, 3], np.uint8)
    source = EnlargedDigits({"train": part, "valid": part, "test": part}, 2)
    rows = source.read("test", np.arange(3))
    images, labels = (
        np.asarray(source.decode(rows)["images"]),
        np.asarray(source.decode(rows)["labels"]),
    )
    assert images.shape == (3, 56, 56, 1) == (3, *source.image_shape)
    # Bilinear, with pixels at half numbers: three parts of the nearer, one of the other.
    x = digits.astype(float) / 255
    row = 0.75 * x[:, 3] + 0.25 * x[:, 2]
    pixel = 0.75 * row[:, 5] + 0.25 * row[:, 6]
    np.testing.assert_allclose(images[:, 6, 11, 0], pixel, atol=1e-6)
    np.testing.assert_allclose(images[:, 0, 0, 0], x[:, 0, 0], atol=1e-6)
    np.testing.assert_allclose(images[:, -1, -1, 0], x[:, -1, -1], atol=1e-6)
    np.testing.assert_allclose(images[..., 0], resize(x.astype(np.float32)), atol=1e-6)
    expected = np.where(images[..., 0] > 0.5, np.array([9, 1, 4])[:, None, None], 0)
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("polygons_nwm:smoke,data.name=circles", "data.name 'circles'"),
        ("tetrominoes_nwm:smoke,data.side=20", "need a canvas of at least 27"),
        ("polygons_unet:smoke,data.side=40", "multiples of 16, not 40 x 40"),
    ],
)
def test_refusals(spec, message, make):
    with pytest.raises(UserError, match=message):
        make(spec).source.read("train", np.arange(1))


def test_mnist_that_is_too_small(tmp_path, monkeypatch):
    result = sources.mnist.LabelledImages(
        np.zeros((20, 28, 28), np.uint8),
        np.zeros(20, np.uint8),
        np.zeros((5, 28, 28), np.uint8),
        np.zeros(5, np.uint8),
    )
    monkeypatch.setattr(sources.mnist, "read", lambda *args: result)
    data = presets.load("mnist_nwm").data
    source = open_source(data)
    assert source.image_shape == (56, 56, 1)
    assert [source.size(split) for split in sources.SPLITS] == [17, 3, 5]
    data.num_valid = 4
    with pytest.raises(UserError, match="num_valid=4 is more than the 3"):
        open_source(data)


@pytest.mark.parametrize("spec", ("mnist_cnn:smoke", "multimnist_cnn:smoke"))
def test_smoke_needs_no_files(spec, make):
    task = make(spec)
    batch = task.batch(0, slice(None))
    images = np.asarray(task.source.decode(batch)["images"])
    labels = np.asarray(task.source.decode(batch)["labels"])
    assert images.shape == (8, *task.source.image_shape)
    assert 0 <= images.min() and images.max() == 1
    assert 1 < len(np.unique(labels)) <= 11 == len(task.source.class_names)
    assert np.all(images[..., 0][labels > 0] > 0.5)
