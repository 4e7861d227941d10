"""Fields of linear oscillators: exact steps, and sequences solved in several ways."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from nwm_jax.core import linear_scan, linear_wave, spectral
from nwm_jax.core.oscillator import OscillatorState
from nwm_jax.core.transition import advance, transition
from nwm_jax.errors import UserError

HPARAMS = {
    "torus": linear_wave.LinearWaveHParams("torus", (4, 5), 2, 3),
    "ring": linear_wave.LinearWaveHParams(
        "ring", (2, 6), 2, 3, forcing="pointwise", scheme="imex"
    ),
    "point": linear_wave.LinearWaveHParams("point", (), 5, 2, scheme="imex"),
    "no gyration": linear_wave.LinearWaveHParams(
        "ring", (1, 6), 2, 3, gyroscopic=False
    ),
    "no neighbours": linear_wave.LinearWaveHParams(
        "torus", (4, 4), 2, 3, kernel_size=1
    ),
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


@pytest.mark.parametrize("beta", [None, 0.3])
def test_gradients_are_those_of_finite_differences(beta):
    """At critical damping, beside it and on every border between two formulas."""
    g = np.array([2.0, 2.0, 2.0, 0.02, 30.0, 1.9, 26.0, 0.5])
    a = np.array([1.0, 1.0 + 1e-9, 0.99, 3.0, 1e-4, 25.0, 20.0, 110.0])
    dt = np.full(8, 0.1)
    b = None if beta is None else np.full(8, beta)

    def total(a, g, dt, b):
        step = transition("exact", dt, a, g, b)
        return sum(jnp.sum(jnp.sin(e.real + 2 * e.imag)) for e in step)

    compute = jax.jit(total)
    slopes = jax.jit(jax.grad(total, (0, 1, 2)))(a, g, dt, b)
    h = 1e-6
    for i, slope in enumerate(slopes):
        for n in range(8):
            ends = []
            for sign in (1, -1):
                moved = [a.copy(), g.copy(), dt.copy()]
                moved[i][n] += sign * h * max(moved[i][n], 0.1)
                ends.append(compute(*moved, b))
            difference = (ends[0] - ends[1]) / (2 * h * max((a, g, dt)[i][n], 0.1))
            assert abs(slope[n] - difference) < 1e-7 * max(1, abs(difference)), (i, n)


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
    start = OscillatorState(x, v)

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
    for chunk in (4, 64):
        run = jax.jit(functools.partial(linear_scan.last_state, h, chunk=chunk))
        last = run(params, start, inputs)
        np.testing.assert_allclose(last.x, state.x, atol=1e-12)


@pytest.mark.parametrize(
    "steps", [2_000, pytest.param(100_000, marks=pytest.mark.slow)]
)
def test_energy_never_grows_without_drive(steps):
    h = HPARAMS["torus"]
    params = linear_wave.init_params(jax.random.key(0), h, jnp.float64)
    # Almost no damping but that between neighbours.
    params = params._replace(alpha=jnp.full(h.channels, -30.0))
    stiffness = linear_wave.symbol(h, params).stiffness[None]
    weight = np.full((1, 1, h.mode_shape[1], 1), 2.0)
    weight[:, :, 0] = 1.0  # 5 cells: all other columns stand for two wave numbers
    step = linear_wave.transitions(h, params)

    def measure(state):
        return jnp.sum(weight * (abs(state.v) ** 2 + stiffness * abs(state.x) ** 2))

    def body(carry, _):
        state, least, growth = carry
        state = advance(step, state, 0.0)
        energy = measure(state)
        return (
            state,
            jnp.minimum(least, energy),
            jnp.maximum(growth, energy - least),
        ), None

    field = jax.random.normal(jax.random.key(1), (2, 1, *h.field_shape), jnp.float64)
    modes = linear_wave.to_modes(h, OscillatorState(*field))
    first = measure(modes)
    (_, last, growth), _ = jax.jit(
        lambda modes: jax.lax.scan(body, (modes, first, 0.0), None, steps)
    )(modes)
    assert growth <= 1e-10 * first
    assert 0.01 * first < last < first


def field_matrix(h, params, channel):
    """The equations of one channel in space: d/dt (x, v, f), ``[3 N, 3 N]``."""
    n = np.prod(h.size, dtype=int)
    cells = np.eye(n).reshape(*h.size, n)
    axes = tuple(range(2 - h.rank, 2))
    springs = np.asarray(jax.nn.softplus(params.gamma))[channel] * np.eye(n)
    friction = np.asarray(jax.nn.softplus(params.alpha))[channel] * np.eye(n)
    for j, offset in enumerate(h.offsets):
        ahead = np.roll(cells, -offset, axes).reshape(n, n)
        behind = np.roll(cells, offset, axes).reshape(n, n)
        apart = 2 * np.eye(n) - ahead - behind
        springs = springs + params.stiffness[j, channel] ** 2 * apart
        friction = friction + params.friction[j, channel] ** 2 * apart
        friction = friction + params.gyration[j, channel] * (ahead - behind)
    nothing, here = np.zeros((n, n)), np.eye(n)
    return np.block(
        [
            [nothing, here, nothing],
            [-springs, -friction, here],
            [nothing, nothing, nothing],
        ]
    )


def stepped_by_numpy(h, params, inputs):
    """All positions of a field that starts at rest, ``[B, T, *field_shape]``."""
    batch, times = inputs.shape[:2]
    drives = np.tensordot(inputs, np.asarray(params.forcing), 1)
    drives = drives.reshape(batch, times, -1, h.channels)
    n = drives.shape[2]
    states = np.zeros_like(drives)
    for channel in range(h.channels):
        dt = float(linear_wave.step_sizes(params)[channel])
        step = scipy.linalg.expm(dt * field_matrix(h, params, channel))[: 2 * n].T
        state = np.zeros((batch, 2 * n))
        for t in range(times):
            state = np.concatenate([state, drives[:, t, :, channel]], 1) @ step
            states[:, t, :, channel] = state[:, :n]
    return states.reshape(batch, times, *h.field_shape)


@pytest.mark.slow
@pytest.mark.parametrize("topology", ["torus", "ring"])
def test_a_thousand_steps_are_those_of_the_equations_in_space(topology):
    size = (4, 5) if topology == "torus" else (1, 8)
    h = linear_wave.LinearWaveHParams(topology, size, 2, 3)
    params = linear_wave.init_params(jax.random.key(1), h, jnp.float64)
    inputs = np.random.default_rng(0).normal(size=(2, 1000, 3))
    expected = stepped_by_numpy(h, params, inputs)
    norm = np.linalg.norm(expected)
    for dtype, limit in ((jnp.float64, 1e-12), (jnp.float32, 1e-4)):
        result = []
        cast = jax.tree.map(lambda p, dtype=dtype: p.astype(dtype), params)
        start = linear_wave.initial_state(h, 2, dtype)
        for method in ("sequential", "associative", "chunked"):
            run = jax.jit(functools.partial(linear_scan.scan, h, method=method))
            last, states = run(cast, start, jnp.asarray(inputs, dtype))
            assert states.x.dtype == dtype
            assert np.linalg.norm(states.x - expected) < limit * norm
            result.append(states.x)
        run = jax.jit(functools.partial(linear_scan.last_state, h))
        alone = run(cast, start, jnp.asarray(inputs, dtype))
        assert np.linalg.norm(alone.x - last.x) < 1e-5 * np.linalg.norm(last.x)
        for other in result[1:]:
            assert np.linalg.norm(other - result[0]) < 1e-5 * norm


def one_ring(cells, *, gyroscopic, key=0):
    """A ring of one channel without friction between neighbours, and its weights."""
    h = linear_wave.LinearWaveHParams(
        "ring", (1, cells), kernel_size=5, gyroscopic=gyroscopic, dt=(0.2, 0.4)
    )
    params = linear_wave.init_params(jax.random.key(key), h, jnp.float64)
    return h, params._replace(friction=jnp.zeros_like(params.friction))


def free_modes(h, params, modes, steps):
    """The modes after every step without drive."""
    step = linear_wave.transitions(h, params)

    def body(modes, _):
        modes = advance(step, modes, 0.0)
        return modes, modes

    return jax.jit(lambda modes: jax.lax.scan(body, modes, None, steps)[1])(modes)


@pytest.mark.parametrize("branch", [0, 1])
def test_a_plane_wave_turns_at_its_damped_frequency(branch):
    h, params = one_ring(16, gyroscopic=True)
    dt = float(linear_wave.step_sizes(params)[0])
    omega, damping = (
        np.asarray(a)[branch, :, 0] for a in linear_wave.dispersion(h, params)
    )
    assert (abs(omega[:9]) * dt < np.pi).all()
    x = jnp.ones((1, 1, 9, 1), complex)
    v = x * (-damping - 1j * omega)[None, None, :9, None]
    states = free_modes(h, params, OscillatorState(x, v), 300)
    times = dt * np.arange(1, 301)[:, None]
    # The largest wave number is its own negative: both branches are its own.
    turned = np.asarray(states.x)[:, 0, 0, :8, 0] * np.exp(
        (damping + 1j * omega)[:8] * times
    )
    assert abs(np.angle(turned)).max() < 1e-10
    assert abs(abs(turned) - 1).max() < 1e-10


@pytest.mark.parametrize("gyroscopic", [False, True])
def test_a_packet_moves_at_the_mean_group_velocity_of_its_power(gyroscopic):
    cells = 1024
    h, params = one_ring(cells, gyroscopic=gyroscopic)
    if gyroscopic:  # damping would depend on k, and with it the power
        params = params._replace(alpha=jnp.full(1, -50.0))
    dt = float(linear_wave.step_sizes(params)[0])
    omega, damping = (np.asarray(a)[0, :, 0] for a in linear_wave.dispersion(h, params))
    speed = np.asarray(linear_wave.group_velocity(h, params))[0, 0, :, 0]
    k = 2 * np.pi * np.fft.fftfreq(cells)
    place = np.arange(cells) - cells // 2
    envelope = np.exp(-((k - 0.8) ** 2) / (2 * 0.06**2)) * np.exp(-1j * k * cells / 2)
    power = abs(envelope) ** 2 / np.sum(abs(envelope) ** 2)
    # Both parts of the complex field, as two real fields: what it is of k and -k.
    packet = np.fft.ifft(envelope), np.fft.ifft((-damping - 1j * omega) * envelope)
    parts = [np.stack([p.real, p.imag])[:, None, :, None] for p in packet]
    modes = linear_wave.to_modes(h, OscillatorState(*map(jnp.asarray, parts)))
    states = free_modes(h, params, modes, 400)
    fields = np.asarray(spectral.to_field(states.x, 1, cells))[:, :, 0, :, 0]
    weight = (fields**2).sum(1)
    centroid = (weight * place).sum(1) / weight.sum(1)
    times = dt * np.arange(1, 401)
    slope = np.polyfit(times, centroid, 1)[0]
    assert slope == pytest.approx(np.sum(power * speed), abs=1e-6)
    np.testing.assert_allclose(centroid - slope * times, 0, atol=1e-4)
    assert abs(slope) > 0.05


def test_group_velocities_are_slopes_of_the_dispersion_relation():
    h = linear_wave.LinearWaveHParams("torus", (64, 64), 2, scheme="exact")
    params = linear_wave.init_params(jax.random.key(3), h, jnp.float64)
    omega = np.asarray(linear_wave.dispersion(h, params)[0])
    speed = np.asarray(linear_wave.group_velocity(h, params))
    kept = np.r_[1:20]
    for axis, at in ((0, 1), (1, 2)):
        slope = (np.roll(omega, -1, at) - np.roll(omega, 1, at)) / (4 * np.pi / 64)
        error = abs(slope - speed[:, axis])[:, kept][:, :, kept]
        assert error.max() < 0.02 * abs(speed).max()


def test_without_coupling_imex_is_the_damped_linoss():
    """arXiv:2505.12171: z = (z + dt (B u - A x)) / (1 + dt G), then x = x + dt z."""
    h = HPARAMS["point"]
    params = linear_wave.init_params(jax.random.key(1), h, jnp.float64)
    inputs = np.random.default_rng(0).normal(size=(2, 50, 2))
    dt = 1 / (1 + np.exp(-np.asarray(params.dt)))
    a, g = (np.log1p(np.exp(np.asarray(p))) for p in (params.gamma, params.alpha))
    x = z = np.zeros((2, 5))
    for t in range(50):
        force = inputs[:, t] @ np.asarray(params.forcing)
        z = (z + dt * (force - a * x)) / (1 + dt * g)
        x = x + dt * z
    start = linear_wave.initial_state(h, 2, jnp.float64)
    last = jax.jit(functools.partial(linear_scan.last_state, h))(
        params, start, jnp.asarray(inputs)
    )
    np.testing.assert_allclose(last.x, x, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(last.v, z, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("scheme", ["exact", "implicit", "imex"])
def test_a_shifted_field_has_a_shifted_future(scheme):
    h = linear_wave.LinearWaveHParams(
        "torus", (4, 6), 2, 2, forcing="pointwise", scheme=scheme
    )
    params = linear_wave.init_params(jax.random.key(1), h, jnp.float64)
    inputs = jax.random.normal(jax.random.key(2), (1, 9, 4, 6, 2), jnp.float64)
    start = linear_wave.initial_state(h, 1, jnp.float64)
    run = jax.jit(lambda inputs: linear_scan.scan(h, params, start, inputs)[1].x)
    moved = np.roll(run(jnp.roll(inputs, (1, 2), (2, 3))), (-1, -2), (2, 3))
    np.testing.assert_allclose(moved, run(inputs), atol=1e-13)


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
