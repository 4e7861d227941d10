"""The renderer against images of the original one, and the rounding to bytes."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.data import render

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "data"
SCENES = (
    "single_center",
    "overlap_order_01",
    "overlap_order_10",
    "asymmetric_xy",
    "outside",
    "sixteen",
    "res64",
    "res16_hot",
)
TRAJECTORIES = [
    (name, variant)
    for name in ("mass_spring", "pendulum")
    for variant in ("plain", "colors", "friction")
]


def _scene(name):
    with np.load(GOLDEN / "renderer.npz") as arrays:
        g = {k.split("__")[1]: arrays[k] for k in arrays if k.startswith(name + "__")}
    options = {
        "canvas_min": float(g["canvas_min"]),
        "canvas_max": float(g["canvas_max"]),
        "num_colors": int(g["num_colors"]),
        "resolution": int(g["resolution"]),
    }
    if "temperature" in g:
        options["temperature"] = float(g["temperature"])
        options["background"] = tuple(g["background_color"])
    return (g["particles"], g["particles_radius"], g["color_indices"]), options, g


def _trajectory(name, variant):
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        g = {k.split("__")[1]: arrays[k] for k in arrays if k.startswith(variant)}
    options = {
        "canvas_min": float(g["canvas_min"]),
        "canvas_max": float(g["canvas_max"]),
        "num_colors": int(g["num_colors"]),
    }
    centres, radii = g["particles"], g["particles_radius"][:, None]
    return (centres, radii, g["color_index"][:, None]), options, g


@pytest.mark.parametrize("name", SCENES)
def test_scenes_in_float64_are_exact(name):
    arrays, options, g = _scene(name)
    image = np.asarray(render.render(*arrays, **options, dtype=np.float64))
    assert image.dtype == np.float64
    np.testing.assert_allclose(image, g["image"], rtol=0, atol=1e-13)
    np.testing.assert_array_equal(render.to_uint8(image), g["image_uint8"])


@pytest.mark.parametrize("name", SCENES)
def test_scenes_in_float32(name):
    arrays, options, g = _scene(name)
    image = render.render(*arrays, **options)
    assert image.dtype == jnp.float32
    np.testing.assert_allclose(image, g["image"], rtol=0, atol=2e-6)


@pytest.mark.parametrize(("name", "variant"), TRAJECTORIES)
def test_trajectories(name, variant):
    arrays, options, g = _trajectory(name, variant)
    exact = np.asarray(render.render(*arrays, **options, dtype=np.float64))
    np.testing.assert_array_equal(render.to_uint8(exact), g["image_uint8"])
    if "image_frame_13" in g:
        np.testing.assert_allclose(exact[:, 13], g["image_frame_13"], atol=1e-13)
    single = render.to_uint8(render.render(*arrays, **options))
    difference = np.abs(single.astype(int) - g["image_uint8"])
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 3e-4


class Pictures:
    """Draws like a dataset, and counts how often it is compiled."""

    def __init__(self, options):
        self.options, self.traced = options, 0

    def __call__(self, arrays):
        self.traced += 1
        particles = arrays["centres"], arrays["radii"], arrays["colors"]
        return render.render(*particles, **self.options, dtype=np.float64)


@pytest.mark.parametrize("block", [1, 2, 3, 5])
def test_bytes_are_exact_in_blocks_of_any_size(block, monkeypatch):
    arrays, options, g = _trajectory("pendulum", "colors")
    arrays = dict(zip(("centres", "radii", "colors"), arrays, strict=False))
    num, num_frames = g["image_uint8"].shape[:2]
    assert num == 3
    monkeypatch.setattr(render, "_FRAMES", block * num_frames + 1)
    assert render.block_size(num_frames) == block
    draw = Pictures(options)
    blocks = list(render.in_bytes(draw, arrays, num_frames))
    assert [len(b) for b in blocks] == {1: [1, 1, 1], 2: [2, 1]}.get(block, [3])
    np.testing.assert_array_equal(np.concatenate(blocks), g["image_uint8"])
    assert blocks[0].dtype == np.uint8 and draw.traced == 1


def test_a_trajectory_longer_than_a_block_is_drawn_at_once():
    assert render.block_size(10**6) == 1


def test_float32_under_x64_and_jit_is_the_same():
    arrays, options, _ = _trajectory("pendulum", "colors")
    plain = render.render(*arrays, **options)
    jitted = jax.jit(lambda *a: render.render(*a, **options))(*arrays)
    np.testing.assert_allclose(jitted, plain, atol=1e-6)
    with jax.enable_x64(True):
        other = render.render(*arrays, **options)
        assert other.dtype == jnp.float32
    np.testing.assert_allclose(other, plain, atol=2e-6)


@pytest.mark.parametrize("num_colors", [1, 2, 4, 6, 16])
def test_palette(num_colors):
    with np.load(GOLDEN / "renderer.npz") as arrays:
        expected = arrays[f"palette_{num_colors}"]
    np.testing.assert_allclose(render.palette(num_colors), expected, atol=1e-15)


def test_radii_may_be_one_number():
    centres = np.zeros((2, 3, 2, 2))
    image = render.render(
        centres, 0.3, np.array([0, 1]), canvas_min=-1, canvas_max=1, num_colors=2
    )
    assert image.shape == (2, 3, 32, 32, 3)


def test_rendering_is_differentiable_in_the_positions():
    def brightness(centres):
        image = render.render(
            centres, 0.3, [0], canvas_min=-1.0, canvas_max=1.0, num_colors=1
        )
        return image[..., 0].sum()

    gradient = jax.grad(brightness)(jnp.array([[0.95, 0.01]]))
    assert np.isfinite(gradient).all() and gradient[0, 0] < 0  # it leaves the canvas


def test_from_uint8_is_division_by_255():
    levels = np.arange(256, dtype=np.uint8)
    expected = levels.astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(render.from_uint8(levels), expected)
    np.testing.assert_array_equal(jax.jit(render.from_uint8)(levels), expected)


def test_quantise_is_truncation_then_division():
    values = np.random.default_rng(0).random(100_000, np.float32)
    values[:2] = 0.0, 1.0
    levels = np.floor(np.float32(255) * values)
    expected = levels / np.float32(255)
    for function in (render.quantise, jax.jit(render.quantise)):
        np.testing.assert_array_equal(function(values), expected)
    np.testing.assert_array_equal(render.to_uint8(values), levels.astype(np.uint8))
    np.testing.assert_array_equal(
        render.to_uint8(jnp.asarray(values)), levels.astype(np.uint8)
    )
