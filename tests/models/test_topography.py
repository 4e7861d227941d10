"""The variational NWM: the reference program's bound, gradients, training, sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from nwm_jax.config import presets
from nwm_jax.core import elbo
from nwm_jax.errors import UserError
from nwm_jax.models import topography
from nwm_jax.models.topography import VariationalNWM
from nwm_jax.modules import functional
from nwm_jax.training import optimizer
from tests.helpers.filled_models import sheet_cell


def reference():
    """The reference program's tiny model; call it in double precision."""
    cell = sheet_cell(topography.topographic_cell("nwm2d", (4, 4)))
    model = VariationalNWM(cell, (4, 4, 1), rngs=nnx.Rngs(0))
    i, j = np.arange(16), np.arange(16)[:, None]
    mean = 0.5 * np.sin(0.9 * i + 0.37 * j), 0.1 * np.cos(i)
    logvar = 0.1 * np.cos(0.4 * i + 0.21 * j), np.full(16, -0.2)
    (encoder,), (decoder,) = model.encoder, model.decoder
    encoder.kernel = nnx.Param(jnp.asarray(np.concatenate([mean[0], logvar[0]], 1)))
    encoder.bias = nnx.Param(jnp.asarray(np.concatenate([mean[1], logvar[1]])))
    # Rows are units now, columns pixels.
    decoder.kernel = nnx.Param(jnp.asarray(0.3 * np.sin(0.5 * i + 0.8 * j)))
    decoder.bias = nnx.Param(jnp.asarray(0.05 * np.cos(i)))
    b, t = np.arange(2)[:, None, None], np.arange(4)[:, None]
    images = 0.5 + 0.5 * np.sin(0.7 * i + 1.3 * t + 0.4 * b)
    return model, jnp.asarray(images.reshape(2, 4, 4, 4, 1))


def test_the_bound_of_the_reference_program():
    with jax.enable_x64(True):
        model, images = reference()
        terms = {k: float(v.mean()) for k, v in model.terms(images).items()}
        assert terms["nll"] == pytest.approx(17.82456649, abs=1e-7)
        assert terms["kl"] == pytest.approx(1.75188098, abs=1e-7)
        assert terms["loss"] == pytest.approx(19.57644747, abs=1e-7)
        start = elbo.standardise(model.encode(images)[0][0, 0], 3)
        expected = [-0.58379862, 0.85750687, 1.59321740]
        np.testing.assert_allclose(np.ravel(start)[:3], expected, atol=1e-7)
        last = np.ravel(model.reconstruct(images)[0, -1])[:4]
        expected = [0.93380415, 0.90826237, 0.79560043, 0.52665977]
        np.testing.assert_allclose(last, expected, atol=1e-7)


def test_gradients_and_training_of_the_reference_program():
    with jax.enable_x64(True):
        model, images = reference()
        graphdef, params, state = functional.split(model)

        def loss(params):
            result = functional.merge(graphdef, params, state).terms(images)
            return result["loss"].mean()

        step = jax.jit(jax.value_and_grad(loss))
        grads = step(params)[1]["cell"]
        expected = {
            ("dt", ()): -1.79628700,
            ("gamma", ()): -0.80575823,
            ("alpha", ()): 0.08399028,
            ("coupling_x", (1, 1, 0, 0)): 0.62453014,
            ("coupling_v", (0, 2, 0, 0)): 0.02476506,
            ("forcing", (2, 0, 0, 0)): 0.12091081,
            ("bias", (0, 0, 0)): -0.02225611,
        }
        for (name, place), value in expected.items():
            assert float(grads[name][place]) == pytest.approx(value, abs=1e-7)
        config = presets.load("rotating_mnist_nwm2d").optimizer
        transform = optimizer.build(config, 4)
        memory, losses = transform.init(params), []
        for _ in range(4):
            value, grads = step(params)
            updates, memory = transform.update(grads, memory, params)
            params = optax.apply_updates(params, updates)
            losses.append(float(value))
        expected = [19.57644747, 19.48939580, 19.30526190, 18.99190215]
        np.testing.assert_allclose(losses, expected, atol=1e-6)
        result = [float(params["cell"][name]) for name in ("dt", "gamma", "alpha")]
        expected = [-1.94599156, 1.00180072, 0.49981165]
        np.testing.assert_allclose(result, expected, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "total", "encoder", "decoder", "cell"),
    [
        ("rotating_mnist_nwm2d", 3_052_894, 2_034_720, 1_016_848, 1_326),
        ("rotating_mnist_nwm1d", 76_354_684, 59_859_648, 16_492_384, 2_652),
        ("sine_nwm2d", 12_209_134, 8_138_880, 4_065_040, 5_214),
    ],
)
def test_parameters(name, total, encoder, decoder, cell):
    config = presets.load(name).model
    make = lambda: topography.build(config, (28, 28, 1), rngs=nnx.Rngs(0))
    params = functional.split(nnx.eval_shape(make))[1]
    assert functional.count(params) == total
    assert functional.count(params["decoder"]) == decoder
    assert functional.count(params["cell"]) == cell
    assert functional.count(params["encoder"]) == encoder


def small(start="repeat"):
    cell = topography.topographic_cell("nwm2d", (4, 5))
    return VariationalNWM(cell, (3, 3, 1), start=start, rngs=nnx.Rngs(0))


@pytest.mark.slow
def test_where_the_sequence_starts():
    """The paper counts from frame 1: one step and one prediction less."""
    images = jax.random.uniform(jax.random.key(0), (2, 5, 3, 3, 1))
    run, later = small().run(images), small("next").run(images)
    assert run.logits.shape == (2, 5, 3, 3, 1) and later.logits.shape[1] == 4
    np.testing.assert_array_equal(run.targets, jnp.roll(images, -1, 1))
    np.testing.assert_array_equal(later.targets, run.targets[:, 1:])
    np.testing.assert_array_equal(later.inputs, run.inputs[:, 1:])
    np.testing.assert_array_equal(later.kl, run.kl[:, 1:])
    # Driven by frame 1 alone, not by frame 0 before.
    assert not np.allclose(later.states.x[:, 0], run.states.x[:, 1])


def test_draws():
    """Of the key alone; the first state is a draw of its own."""
    model, images = small(), jnp.ones((1, 2, 3, 3, 1))
    one, again, other = (model.run(images, jax.random.key(k)) for k in (0, 0, 1))
    np.testing.assert_array_equal(one.logits, again.logits)
    assert not np.allclose(one.logits, other.logits)
    np.testing.assert_array_equal(one.kl, other.kl)
    quiet = small()
    quiet.encoder[0].kernel[...] = jnp.zeros((9, 40))
    quiet.encoder[0].bias[...] = jnp.concatenate(
        [jnp.arange(20.0), jnp.full(20, -60.0)]
    )
    np.testing.assert_allclose(
        quiet.run(images, jax.random.key(0)).logits, quiet.run(images).logits, atol=1e-5
    )


def test_refuses():
    with pytest.raises(UserError, match="unknown start 'late'"):
        small("late")
    with pytest.raises(UserError, match="T at least 2 and are"):
        small().run(jnp.ones((1, 1, 3, 3, 1)))
    with pytest.raises(UserError, match="sequences must be"):
        small().run(jnp.ones((1, 4, 3, 4, 1)))
