"""The original's weights by name: numbers of a tiny model, and what is refused."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.core.image_errors import frame_errors
from nwm_jax.errors import UserError
from nwm_jax.experiments.forecasting import mse
from nwm_jax.interop import physics_inspired_models as originals
from nwm_jax.models.forecaster import Forecaster
from tests.helpers.golden_files import GOLDEN
from tests.helpers.numerics import fill


def tiny_params():
    """Weights of a 3x3 model by the fill rule: array number, place, shape."""
    kernels = {"Decoder": 8, "Encoder": 24}
    channels = {
        "Decoder": [(6, 4), *[(4, 4)] * 5, (4, 3)],
        "Encoder": [(3, 4), *[(4, 4)] * 5, (4, 9)],
    }
    params = {
        "CORNN_0:gamma": np.float32(1.0),
        "CORNN_0:alpha": np.float32(0.5),
        "CORNN_0:dt": np.float32(-1.95),
        "CORNN_0:b_bar": fill((3, 3, 1), 1, 0.5),
        "Decoder:h": 1 + fill((4, 4, 2), 7, 1.0),
    }

    def weights(shape, number):
        return fill(shape, number, 5 / np.sqrt(np.prod(shape[:-1])))

    for number, name in enumerate(("Coupling", "DampingCoupling", "ForcingCoupling")):
        params[f"CORNN_0/~/{name}Net:w"] = weights((3, 3, 1, 1), 4 + number)
    blocks = ["0/0", "0/1", "1/0", "1/1", "2/0", "2/1", "2/2"]
    for network, first in kernels.items():
        for index, place in enumerate(blocks):
            block, conv = place.split("/")
            name = f"{network}/~/block_{block}/~/conv_2d_{conv}"
            # The decoder's projection gives 4 planes, with the constant 6 channels.
            shape = (3, 3, *channels[network][index])
            params[f"{name}:b"] = fill(shape[-1:], first + 2 * index, 0.5)
            params[f"{name}:w"] = weights(shape, first + 2 * index + 1)
    projections = {
        "Decoder/~spatial_de_aggregation": (22, (18, 64)),
        "Encoder/~spatial_aggregation": (38, (144, 9)),
    }
    for name, (number, shape) in projections.items():
        params[f"{name}/LinearProjection:b"] = fill(shape[-1:], number, 0.5)
        params[f"{name}/LinearProjection:w"] = weights(shape, number + 1)
    params["IC_Net_0:b"] = fill((54,), 40, 0.5)
    params["IC_Net_0:w_h"] = weights((18, 54), 41)
    params["IC_Net_0:w_i"] = weights((9, 54), 42)
    return params


def tiny_images():
    b, t, h, w, c = np.ogrid[:2, :9, :32, :32, :3]
    waves = np.sin(0.3 * h + 0.2 * w + 1.1 * c + 0.5 * t + b)
    return (0.5 + 0.4 * waves).astype(np.float32)


@pytest.fixture(scope="module")
def tiny():
    return originals.load(tiny_params(), "nwm2d", num_inference_steps=3)


def test_encoder_and_decoder_give_the_originals_numbers(tiny):
    codes = tiny.encoder(tiny_images()[:1, 0])[0]
    want = [
        -0.2377334, 0.1862034, -0.1954301, -0.0423154, -0.3546711,
        -0.1876319, 0.3447053, -0.3009604, -0.4039144,
    ]  # fmt: skip
    np.testing.assert_allclose(codes, want, atol=2e-5)
    image = tiny.decoder(fill((1, 18), 50, 2.0))[0]
    np.testing.assert_allclose(
        image[0, 0], [0.5523515, 0.5468513, 0.4716059], atol=2e-5
    )
    np.testing.assert_allclose(
        image[16, 9], [0.5720088, 0.5317309, 0.3866424], atol=2e-5
    )
    np.testing.assert_allclose(image.sum(), 1575.1227, atol=0.05)


def test_loss_gives_the_originals_numbers(tiny):
    images = tiny_images()[:, :6]
    loss = jax.jit(lambda model, x: model.loss(x))
    # Loss, squared error, and the relative error that was divided once too often.
    wanted = [(0.656122, 0.0837570, 8.27687e-5), (0.6558003, 0.0834353, 8.24773e-5)]
    for example, want in enumerate(wanted):
        value, metrics = loss(tiny, images[example : example + 1])
        np.testing.assert_allclose(value, want[0], atol=2e-5)
        np.testing.assert_allclose(metrics["mse"], want[1], atol=2e-5)
        units = mse.table_units(metrics["relative_mse"], (32, 32, 3))
        np.testing.assert_allclose(1e-8 * units, want[2], rtol=1e-4)


def test_roll_out_gives_the_originals_numbers(tiny):
    images = tiny_images()
    means, states = jax.jit(lambda model, x: model.roll_out(x))(tiny, images)
    means, flat = np.asarray(means), tiny.cell.flatten(states)
    want = [
        0.5367113, 0.5364376, 0.5346715, 0.5338746,
        0.5354972, 0.5370514, 0.5376828, 0.5383759,
    ]  # fmt: skip
    np.testing.assert_allclose(means[0, :, 0, 0, 0], want, atol=2e-5)
    np.testing.assert_allclose(
        means[1, -1, 31, 31], [0.5359509, 0.5391226, 0.4412355], atol=2e-5
    )
    np.testing.assert_allclose(means.sum(), 24995.137, atol=0.05)
    # Of the last state: x and v of the first two oscillators.
    np.testing.assert_allclose(
        flat[0, -1, :4], [-0.4624404, 0.0612226, -0.2910675, 0.4154613], atol=2e-5
    )
    errors = frame_errors(means[:, 5:], images[:, 6:])
    np.testing.assert_allclose(
        errors["mse"].mean(axis=1), [0.0817560, 0.0835367], atol=2e-5
    )
    units = mse.table_units(errors["relative_mse"].mean(axis=1), (32, 32, 3))
    np.testing.assert_allclose(units, [8069.30, 8224.59], rtol=1e-5)


def test_loss_of_a_uniform_error():
    """0.6 where 0.5 is true: 0.01 + log(pi) / 2."""
    model = types.SimpleNamespace(predict=lambda images: jnp.full_like(images, 0.6))
    loss, _ = Forecaster.loss(model, jnp.full((2, 60, 32, 32, 3), 0.5))
    np.testing.assert_allclose(loss, 0.5823649, rtol=1e-6)


def test_haikus_nested_names_are_the_same():
    nested = {}
    for name, array in tiny_params().items():
        module, _, parameter = name.rpartition(":")
        nested.setdefault(module, {})[parameter] = array
    model = originals.load(nested, "nwm2d", num_inference_steps=3)
    assert isinstance(model, Forecaster)
    np.testing.assert_array_equal(model.initial.w_h[...], nested["IC_Net_0"]["w_h"])


def test_rings_of_the_original_lose_their_first_axis():
    params = tiny_params()
    for name in ("Coupling", "DampingCoupling", "ForcingCoupling"):
        kernel = f"CORNN_0/~/{name}Net:w"
        params[kernel] = params[kernel][1:2]
    model = originals.load(params, "nwm1d", num_inference_steps=3, grid=(3, 3))
    assert model.cell.coupling_x.shape == (3, 1, 1)
    np.testing.assert_array_equal(
        model.cell.forcing[...], params["CORNN_0/~/ForcingCouplingNet:w"][0]
    )


def test_the_originals_weights_come_back_as_they_were(tiny):
    again = originals.dump(tiny)
    params = tiny_params()
    assert again.keys() == params.keys()
    for name, array in params.items():
        np.testing.assert_array_equal(again[name], array)


def test_what_does_not_fit_is_named():
    params = tiny_params()
    with pytest.raises(UserError, match="unknown model 'nwm3d'; did you mean 'nwm"):
        originals.load(params, "nwm3d")
    with pytest.raises(UserError, match="missing in nwm2d: CORNN_0:dt"):
        originals.load({k: v for k, v in params.items() if k != "CORNN_0:dt"}, "nwm2d")
    with pytest.raises(UserError, match="unknown in nwm2d: CORNN_0:beta"):
        originals.load(params | {"CORNN_0:beta": np.zeros(3)}, "nwm2d")
    with pytest.raises(UserError, match="unknown in nwm2d's overrides: num_steps"):
        originals.load(params, "nwm2d", num_steps=3)
    with pytest.raises(UserError, match=r"CORNN_0:b_bar.*the grid"):
        originals.load(params, "nwm2d", grid=(4, 4))
    with pytest.raises(UserError, match="CORNN_0:dt is not an array of numbers"):
        originals.load(params | {"CORNN_0:dt": "fast"}, "nwm2d")
    arrays = np.load(GOLDEN / "models" / "cornn.npz")
    dense = {k[7:]: arrays[k] for k in arrays if k.startswith("params/")}
    with pytest.raises(UserError, match="CORNN_0"):
        originals.load(dense, "nwm2d")
