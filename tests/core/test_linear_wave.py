"""Fields of linear oscillators: exact steps, and sequences solved in several ways."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from nwm_jax.core import linear_scan, linear_wave, spectral
from nwm_jax.core.transition import transition
from nwm_jax.errors import UserError

HPARAMS = {
    "torus": linear_wave.LinearWaveHParams("torus", (4, 5), 2, 3),
    "ring": linear_wave.LinearWaveHParams(
        "ring", (2, 6), 2, 3, forcing="pointwise", scheme="imex"
    ),
    "point": linear_wave.LinearWaveHParams("point", (), 5, 2, scheme="imex"),
}


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("gyroscopic", [False, True])
def test_the_exact_step_is_the_matrix_exponential(gyroscopic):
    """Through critical damping too."""
    rng = np.random.default_rng(0)
    n = 300
    dt, a = 10 ** rng.uniform(-2, 0, n), 10 ** rng.uniform(-6, 3, n)
    g = 10 ** rng.uniform(-6, 2.5, n)
    near = 2 * np.sqrt(a) * (1 + 10 ** rng.uniform(-16, -1, n))
    g[:100] = near[:100]
    b = rng.normal(size=n) * 10 ** rng.uniform(-3, 1.5, n)
    b[:50] = 0
    beta = jnp.asarray(b) if gyroscopic else None
    step = jax.jit(transition, static_argnums=0)("exact", dt, a, g, beta)
    for i in range(n):
        d = g[i] + 1j * b[i] if gyroscopic else g[i]
        rate = np.array([[0, 1, 0], [-a[i], -d, 1], [0, 0, 0]])
        exact = scipy.linalg.expm(rate * dt[i])[:2]
        ours = np.array(
            [
                [step.xx[i], step.xv[i], step.xf[i]],
                [step.vx[i], step.vv[i], step.vf[i]],
            ]
        )
        assert abs(ours - exact).max() < 1e-11 * abs(exact).max()
        assert abs(ours[0, 2] / exact[0, 2] - 1) < 1e-9


@pytest.mark.slow
def test_gradients_are_finite_at_critical_damping():
    def first(a):
        return sum(jnp.sum(entry) for entry in transition("exact", 0.1, a, g, None))

    g = jnp.asarray([2.0, 2.0])
    a = jnp.asarray([1.0, 1.0 + 1e-9])
    value, slope = jax.jit(jax.value_and_grad(first))(a)
    difference = (first(a + 1e-5) - first(a - 1e-5)) / 2e-5
    assert np.isfinite(value)
    np.testing.assert_allclose(slope.sum(), difference, rtol=1e-8)


@pytest.mark.parametrize("shape", [(4, 6), (5, 7), (1, 8), (3, 130)])
def test_transforms(shape):
    field = np.random.default_rng(0).normal(size=(2, *shape, 3))
    modes = spectral.to_modes(jnp.asarray(field), 2)
    np.testing.assert_allclose(modes, np.fft.rfft2(field, axes=(1, 2)), atol=1e-11)
    back = spectral.to_field(modes, 2, shape[1])
    np.testing.assert_allclose(back, field, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("name", HPARAMS)
def test_all_methods_step_alike(name):
    h = HPARAMS[name]
    params = linear_wave.init_params(jax.random.key(1), h, jnp.float64)
    inner = (h.input_channels,) if h.forcing == "dense" else (*h.size, h.input_channels)
    inputs = jax.random.normal(jax.random.key(2), (2, 11, *inner), jnp.float64)
    x, v = jax.random.normal(jax.random.key(3), (2, 2, *h.field_shape), jnp.float64)
    start = linear_wave.LinearWaveState(x, v)

    @jax.jit
    def step(state, inputs):
        return linear_wave.step(h, params, state, linear_wave.drive(h, params, inputs))

    state, expected = start, []
    for t in range(inputs.shape[1]):
        state = step(state, inputs[:, t])
        expected.append(state.x)
    expected = np.stack(expected, 1)
    for method in linear_scan.METHODS:
        run = jax.jit(
            lambda start, inputs, method=method: linear_scan.scan(
                h, params, start, inputs, method=method, chunk=4
            )
        )
        last, states = run(start, inputs)
        np.testing.assert_allclose(states.x, expected, atol=1e-12)
        np.testing.assert_allclose(last.v, state.v, atol=1e-12)
    if h.forcing == "dense":
        for chunk in (4, 64):
            last = linear_scan.last_state(h, params, start, inputs, chunk=chunk)
            np.testing.assert_allclose(last.x, state.x, atol=1e-12)


def test_energy_never_grows_without_drive():
    h = HPARAMS["torus"]
    params = linear_wave.init_params(jax.random.key(0), h, jnp.float64)
    stiffness = linear_wave.symbol(h, params).stiffness
    weight = np.full(h.mode_shape[1], 2.0)[:, None]
    weight[0] = 1.0  # 5 cells: all other columns stand for two wave numbers
    step = linear_wave.transitions(h, params)

    def body(state, _):
        state = linear_wave.advance(step, state, 0.0)
        energy = abs(state.v) ** 2 + stiffness * abs(state.x) ** 2
        return state, jnp.sum(weight * energy)

    field = jax.random.normal(jax.random.key(1), (2, 1, *h.field_shape), jnp.float64)
    modes = linear_wave.to_modes(h, linear_wave.LinearWaveState(*field))
    _, energies = jax.lax.scan(body, modes, None, 2000)
    assert (np.diff(energies) <= 1e-10 * energies[0]).all()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"topology": "sphere"}, "topology"),
        ({"size": (4,)}, "2 sizes"),
        ({"kernel_size": 2}, "odd"),
        ({"scheme": "euler"}, "scheme"),
        ({"dt": (0.0, 0.5)}, "dt"),
        ({"gamma": (0.5, float("inf"))}, "gamma"),
    ],
)
def test_descriptions_that_contradict_themselves(options, text):
    with pytest.raises(UserError, match=text):
        linear_wave.LinearWaveHParams(**{"topology": "torus", "size": (4, 4)} | options)
