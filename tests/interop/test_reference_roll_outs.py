"""Roll-outs of the original's models, written again in NumPy from the same arrays.

For the modes of which there are no numbers of the original program. The image networks
are linear maps here, for what is compared is which frames are seen, which way time goes,
and what happens in a step.
"""

import jax
import numpy as np
import pytest
from flax import nnx

from nwm_jax.config import presets
from nwm_jax.interop import physics_inspired_models as originals
from nwm_jax.models.forecasting import build
from tests.helpers.filled_models import filled
from tests.helpers.numerics import fill

FRAMES, OBSERVED, DT = 8, 3, 0.125
IMAGES = fill((2, FRAMES, 8, 8, 3), 5).astype(np.float64) + 0.5
MODES = {
    "forward": {
        "latent_training_type": "forward",
        "training_data_split": "overlap_by_one",
        "dt": DT,
    },
    "forward_backward": {
        "latent_training_type": "forward_backward",
        "training_data_split": "include_inference",
        "dt": DT,
    },
}


def arrays_of(model, fields):
    """Arrays of a small model by the original's names."""
    config = presets.load(f"pendulum_{model}:model.conv_channels=1")
    small = {"num_observed": OBSERVED, "num_ic": OBSERVED, "grid": (2, 4)}
    small |= {"units": 5, "layers": 2, "split": "overlap_by_one"}
    small |= {"training": "forward"} | fields
    if model.startswith("ar"):
        small["num_ic"] = 0
    config.model.update({k: v for k, v in small.items() if k in config.model})
    make = lambda: build(config.model, (8, 8, 3), conv="xla", rngs=nnx.Rngs(0))
    # At weights that bend the motion visibly, and do not throw it away.
    arrays = originals.dump(filled(make, scale=4.0 if model == "hgn" else 2.0))
    return {name: np.asarray(array, np.float64) for name, array in arrays.items()}


def check(model, arrays, reference, features, seen, **overrides):
    """Compares with ``reference(arrays, encode, decode)``.

    Args:
      features: numbers that the encoder gives.
      seen: numbers that the decoder sees.
    """
    loaded = originals.load(
        arrays, model, num_inference_steps=OBSERVED, num_target_steps=6, **overrides
    )
    inputs = loaded.encoder.convs[0].kernel.shape[-2] * 64
    down = fill((inputs, features), 1, 8 / inputs**0.5)
    up = fill((seen, 8 * 8 * 3), 2, 1.0)
    encode = lambda images: images.reshape(*images.shape[:-3], -1) @ down
    decode = lambda z: (z @ up).reshape(*z.shape[:-1], 8, 8, 3)
    loaded.encoder, loaded.decoder = encode, decode
    run = jax.jit(loaded.reconstruct)
    result = run(IMAGES.astype(np.float32))
    want = reference(arrays, encode, decode)
    assert result.shape == want.shape
    np.testing.assert_allclose(result, want, atol=1e-5 * np.abs(want).max())
    # Everything moves, and no step is like the one before it.
    steps = np.abs(np.diff(want, axis=1)).max(axis=(2, 3, 4))
    assert steps.min() > 0.01 * np.abs(want).max()
    assert np.abs(np.diff(want, n=2, axis=1)).max() > 1e-3 * np.abs(want).max()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def layers(arrays, module):
    names = sorted(
        n for n in arrays if n.startswith(f"{module}/~/ff_") and n[-1] == "w"
    )
    return [(arrays[name], arrays[f"{name[:-1]}b"]) for name in names]


def mlp(arrays, module, x):
    *hidden, (kernel, bias) = layers(arrays, module)
    for w, b in hidden:
        x = x @ w + b
        x = x * sigmoid(x)
    return x @ kernel + bias


def mlp_slope(arrays, module, x):
    """Gradient of a network with one output, by the chain rule."""
    *hidden, (kernel, _) = layers(arrays, module)
    chain = []
    for w, b in hidden:
        x = x @ w + b
        s = sigmoid(x)
        chain.append((w, s + x * s * (1 - s)))
        x = x * s
    slope = np.broadcast_to(kernel[:, 0], x.shape)
    for w, derivative in reversed(chain):
        slope = (slope * derivative) @ w.T
    return slope


def leapfrog(arrays, z, dt):
    q, p = np.split(z, 2, axis=-1)
    p = p - dt / 2 * mlp_slope(arrays, "Physics/~/PotentialNet", q)
    q = q + dt * mlp_slope(arrays, "Physics/~/KineticNet", p)
    p = p - dt / 2 * mlp_slope(arrays, "Physics/~/PotentialNet", q)
    return np.concatenate([q, p], axis=-1)


def euler_lagrange(arrays, z):
    """d(q, v)/dt from d/dt (M v) = dL/dq, derivatives along q by differences."""
    q, v = np.split(z, 2, axis=-1)
    n, small = q.shape[-1], 1e-5

    def mass(q):
        entries = iter(np.moveaxis(mlp(arrays, "Physics/~/MatrixNet", q), -1, 0))
        factor = np.zeros((len(q), n, n))
        for row in range(n):
            for column in range(row, n):
                factor[:, row, column] = next(entries)
        return np.einsum("bki,bkj->bij", factor, factor) + np.eye(n)

    def lagrangian(q):
        potential = mlp(arrays, "Physics/~/PotentialNet", q)[:, 0]
        return np.einsum("bi,bij,bj->b", v, mass(q), v) / 2 - potential

    def along(function, direction):
        step = small * direction
        return (function(q + step) - function(q - step)) / (2 * small)

    force = np.stack([along(lagrangian, unit) for unit in np.eye(n)], axis=-1)
    force -= np.einsum("bij,bj->bi", along(mass, v), v)
    rate = np.linalg.solve(mass(q), force[..., None])[..., 0]
    return np.concatenate([v, rate], axis=-1)


def midpoint(arrays, z, dt):
    return z + dt * euler_lagrange(arrays, z + dt / 2 * euler_lagrange(arrays, z))


def flow(arrays, z, dt):
    """The differential equation itself: many small steps of Runge and Kutta."""
    field = lambda z: mlp(arrays, "ODE/~/Net", z)
    h = dt / 16
    for _ in range(16):
        k1 = field(z)
        k2 = field(z + h / 2 * k1)
        k3 = field(z + h / 2 * k2)
        k4 = field(z + h * k3)
        z = z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return z


def residual_map(arrays, z, dt):
    return z + mlp(arrays, "Discrete/~/Net", z)


LATENT = [
    ("hgn", "forward", leapfrog, {"latent": 4}, 2),
    ("hgn", "forward_backward", leapfrog, {"latent": 4}, 2),
    ("lgn", "forward", midpoint, {"latent": 4}, 2),
    ("lgn", "forward_backward", midpoint, {"latent": 4}, 2),
    ("ode", "forward_backward", flow, {"latent": 4}, 4),
    # Without pairs the state may have any size.
    ("rgn", "forward", residual_map, {"latent": 5}, 5),
]


@pytest.mark.parametrize(("model", "mode", "step", "fields", "seen"), LATENT)
def test_latent_models(model, mode, step, fields, seen):
    latent = fields["latent"]

    def reference(arrays, encode, decode):
        side_by_side = np.concatenate(list(IMAGES[:, :OBSERVED].swapaxes(0, 1)), -1)
        z = encode(side_by_side)[:, :latent]
        # Which of the observed frames z is the state of.
        at = OBSERVED // 2 if mode == "forward_backward" else OBSERVED - 1
        states = {at: z}
        for t in range(at + 1, FRAMES):
            states[t] = step(arrays, states[t - 1], DT)
        if model != "rgn":
            for t in reversed(range(at)):
                states[t] = step(arrays, states[t + 1], -DT)
        ordered = np.stack([states[t] for t in sorted(states)], axis=1)
        return decode(ordered[..., :seen])

    arrays = arrays_of(model, fields)
    check(model, arrays, reference, 2 * latent, seen, **MODES[mode])


def roll(arrays, encode, decode, state, cell, read):
    """Frames 1, 2, ...: from true frames while there are observed ones, then its own."""
    means = []
    for t in range(FRAMES - 1):
        frame = IMAGES[:, t] if t < OBSERVED else means[-1]
        state = cell(state, encode(frame))
        means.append(decode(read(state)))
    return np.stack(means, axis=1)


def gru(arrays, name, h, u):
    n = h.shape[-1]
    w_i, w_h, b = (arrays[f"{name}:{kind}"] for kind in ("w_i", "w_h", "b"))
    x = u @ w_i + b
    z = sigmoid(x[:, :n] + h @ w_h[:, :n])
    r = sigmoid(x[:, n : 2 * n] + h @ w_h[:, n : 2 * n])
    a = np.tanh(x[:, 2 * n :] + (r * h) @ w_h[:, 2 * n :])
    return (1 - z) * h + z * a


def vanilla(arrays, name, h, u):
    given = u @ arrays[f"{name}/linear:w"] + arrays[f"{name}/linear:b"]
    own = h @ arrays[f"{name}/linear_1:w"] + arrays[f"{name}/linear_1:b"]
    return np.maximum(given + own, 0)


@pytest.mark.parametrize(
    ("model", "layer", "name"),
    [("ar_gru", gru, "GRU"), ("ar_vanilla", vanilla, "VANILLA")],
)
def test_autoregressive_models(model, layer, name):
    """Two layers, 5 and 3 wide, swish between them."""

    def reference(arrays, encode, decode):
        def cell(state, u):
            below = layer(arrays, f"{name}_0", state[0], u)
            above = layer(arrays, f"{name}_1", state[1], below * sigmoid(below))
            return below, above

        start = np.zeros((2, 5)), np.zeros((2, 3))
        return roll(arrays, encode, decode, start, cell, lambda state: state[1])

    check(model, arrays_of(model, {"latent": 3}), reference, 3, 3)


def test_rings_of_oscillators():
    """Two rings of four, started by a GRU that reads the observed frames backwards."""

    def around(kernel, field):
        left, own, right = kernel[0, :, 0, 0]
        before, after = np.roll(field, 1, axis=-1), np.roll(field, -1, axis=-1)
        return left * before + own * field + right * after

    def reference(arrays, encode, decode):
        dt = sigmoid(arrays["CORNN_0:dt"])
        gamma, alpha = (arrays[f"CORNN_0:{name}"] for name in ("gamma", "alpha"))
        bias = arrays["CORNN_0:b_bar"][..., 0]
        w_x, w_v, w_u = (
            arrays[f"CORNN_0/~/{name}Net:w"]
            for name in ("Coupling", "DampingCoupling", "ForcingCoupling")
        )

        def cell(state, u):
            x, v = state
            force = around(w_x, x) + around(w_v, v) + around(w_u, u.reshape(2, 2, 4))
            v = v + dt * (np.tanh(force + bias) - gamma * x - alpha * v)
            return x + dt * v, v

        h = np.zeros((2, 16))
        for t in reversed(range(OBSERVED)):
            h = gru(arrays, "IC_Net_0", h, encode(IMAGES[:, t]))
        pairs = h.reshape(2, 2, 4, 2)
        read = lambda state: np.stack(state, axis=-1).reshape(2, 16)
        start = pairs[..., 0], pairs[..., 1]
        return roll(arrays, encode, decode, start, cell, read)

    arrays = arrays_of("nwm1d", {})
    arrays |= {"CORNN_0:dt": -1.0, "CORNN_0:gamma": 0.7, "CORNN_0:alpha": 0.4}
    check("nwm1d", arrays, reference, 8, 16, grid=(2, 4))
