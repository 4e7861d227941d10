"""Weights of the PyTorch originals: the numbers and gradients that they produce."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nwm_jax.interop.torch import load_state_dict
from tests.helpers.golden_files import GOLDEN
from tests.helpers.torch_weights import (
    PSMNIST,
    SMNIST,
    cornn,
    filled,
    nwm,
    readout,
    uncoupled,
    wrnn,
)


def wave_input(steps=6):
    return np.sin(0.9 * np.arange(steps) + 0.1).reshape(1, steps, 1)


def answer(params, model, inputs, **hp):
    """The outputs, and the states as the classifier keeps them; compiled once."""

    @jax.jit
    def run(params, inputs):
        classifier = load_state_dict(params, model, **hp)
        return classifier(inputs), classifier.states(inputs)

    return jax.tree.map(np.asarray, run(params, inputs))


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize(
    ("model", "params", "positions", "output"),
    [
        (
            "cornn",
            cornn(),
            [0.00455413, 0.00496820, 0.00580502],
            [0.27519834, 0.28798329],
        ),
        (
            "nwm2d",
            nwm(),
            [
                *(0.01630960, 0.01879142, 0.01912282, 0.01749772, 0.01340483),
                *(0.00772339, 0.00458582, 0.00626267, 0.01155883),
            ],
            [0.20837350, 0.02048333],
        ),
        (
            "nwm1d",
            nwm(kernel=(1, 3)),
            [
                *(0.01716510, 0.01962146, 0.01979209, 0.01772526, 0.01339634),
                *(0.00793722, 0.00479286, 0.00660374, 0.01188826),
            ],
            [0.20869150, 0.02079508],
        ),
        (
            "uncoupled",
            uncoupled(),
            [0.00864364, 0.00956136, 0.00638753, -0.00014673],
            [0.30076916, 0.18507411],
        ),
        (
            "nwm2d",
            nwm(channels=2),
            [
                *(0.01602375, 0.01840624, 0.01891998, 0.01766894, 0.01391232),
                *(0.00808541, 0.00471591, 0.00626262, 0.01154176, 0.01461490),
                *(0.01719906, 0.01772737, 0.01625039, 0.01204136, 0.00587177),
                *(0.00257087, 0.00429021, 0.00982622),
            ],
            [0.20674794, 0.01835902],
        ),
    ],
)
def test_oscillators_give_the_originals_numbers(x64, model, params, positions, output):
    result, states = answer(params, model, wave_input(), **SMNIST)
    np.testing.assert_allclose(result[0], output, atol=1e-8)
    # The original orders by channel first.
    last = states[0, -1]
    last = last.reshape(-1) if model == "cornn" else np.moveaxis(last, -1, 0).ravel()
    np.testing.assert_allclose(last, positions, atol=1e-8)


def test_split_layers_of_the_cornn(x64):
    params = filled(
        cell__i2h__weight=(3, 4),
        cell__i2h__bias=(3,),
        cell__h2h1__weight=(3, 3),
        cell__h2h2__weight=(3, 3),
        **readout(2, 3),
    )
    constants = {"dt": 0.034, "gamma": 1.3, "epsilon": 12.7}
    inputs = np.sin(np.arange(24.0)).reshape(1, 6, 4)
    result, _ = answer(params, "cornn", inputs, **constants)
    np.testing.assert_allclose(result[0], [0.29679690, 0.18938140], atol=1e-8)


def test_adding_with_the_nwm(x64):
    constants = {"dt": 0.016, "gamma": 94.5, "epsilon": 9.5}
    inputs = np.zeros((1, 20, 2))
    inputs[0, :, 0] = np.sin(0.37 * np.arange(20)) ** 2
    inputs[0, [3, 14], 1] = 1.0
    target = np.prod(inputs, axis=-1).sum()
    np.testing.assert_allclose(target, 1.59909602, atol=1e-8)
    result = answer(nwm(inputs=2, outputs=1), "nwm2d", inputs, **constants)[0][0, 0]
    np.testing.assert_allclose(result, 0.20897015, atol=1e-8)
    np.testing.assert_allclose((result - target) ** 2, 1.93244992, atol=1e-7)


def train(params, loss, steps, transform):
    """Losses before each update, and the first gradients, by the originals' names."""

    @jax.jit
    def update(params, state):
        value, gradient = jax.value_and_grad(loss)(params)
        move, state = transform.update(gradient, state, params)
        return optax.apply_updates(params, move), state, value, gradient

    state = jax.jit(transform.init)(params)
    losses, gradients = [], []
    for _ in range(steps):
        params, state, value, gradient = update(params, state)
        losses.append(float(value))
        gradients.append(gradient)
    return losses, jax.tree.map(np.asarray, gradients[0])


@pytest.mark.parametrize(
    ("model", "params", "losses", "norms"),
    [
        (
            "cornn",
            cornn(),
            [0.693051381, 0.693036911, 0.693035858, 0.693026232],
            {
                "cell.i2h.weight": 3.7217e-4,
                "cell.i2h.bias": 2.1023e-4,
                "readout.weight": 1.7661e-4,
                "readout.bias": 2.9380e-3,
            },
        ),
        (
            "nwm2d",
            nwm(),
            [0.697575407, 0.696858134, 0.696196942, 0.695593839],
            {
                "cell.Wx.weight": 1.092e-5,
                "cell.Wx.bias": 3.772e-5,
                "cell.Wz.weight": 5.26e-6,
                "cell.Wz.bias": 2.590e-5,
                "cell.Wy.weight": 2.30e-6,
                "cell.Wy.bias": 2.590e-5,
                "readout.weight": 0.01101791,
                "readout.bias": 0.0663722,
            },
        ),
    ],
)
def test_training_goes_as_in_the_original(x64, model, params, losses, norms):
    t, b = np.arange(12), np.arange(2)
    inputs = np.sin(0.9 * t + 0.5 * b[:, None] + 0.1)[..., None]

    def loss(params):
        logits = load_state_dict(params, model, **PSMNIST)(inputs)
        return -jax.nn.log_softmax(logits)[b, 1 - b].mean()

    result, gradient = train(params, loss, 4, optax.adam(0.0054))
    np.testing.assert_allclose(result, losses, atol=1e-9)
    for name, norm in norms.items():
        np.testing.assert_allclose(
            np.linalg.norm(gradient[name]), norm, rtol=2e-3, err_msg=name
        )


def test_the_wave_rnn_trains_as_the_original(x64):
    t, b = np.arange(6), np.arange(3)[:, None]
    inputs = np.stack([((3 * t + 5 * b) % 7) / 7, (t == b) | (t == 3 + b)], axis=-1)
    targets = np.array([[2.0], [4.0], [6.0]]) / 7

    def loss(params, activation="ident"):
        model = load_state_dict(params, "wrnn", activation=activation, n_ch=2)
        outputs = model(inputs)
        aux = outputs, model.states(inputs)[0, -1]
        return jnp.mean((outputs - targets) ** 2), aux

    relu = jax.jit(jax.value_and_grad(lambda p: loss(p, "relu"), has_aux=True))
    (_, (outputs, state)), gradient = jax.tree.map(np.asarray, relu(wrnn()))
    np.testing.assert_allclose(
        outputs[:, 0], [0.7477910859, 0.8793120409, 0.8800834994], atol=1e-9
    )
    last = [
        [0.5562234329, 0.8191010615, 0.2477537295, 0.0],
        [0.1314174558, 0.3919934880, 0.3911833491, 0.3860045843],
    ]
    np.testing.assert_allclose(state.T, last, atol=1e-9)
    norms = {
        "cell.Wx.weight": 0.1570147783,
        "cell.Wx.bias": 0.3423105247,
        "cell.Wy.weight": 0.4878144048,
        "cell.Wy.bias": 0.4200914226,
        "readout.weight": 0.7025187162,
        "readout.bias": 0.5286006080,
    }
    for name, norm in norms.items():
        np.testing.assert_allclose(np.linalg.norm(gradient[name]), norm, atol=1e-9)
    transform = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.01))
    losses, gradient = train(wrnn(), lambda p: loss(p)[0], 4, transform)
    # The original's clipping adds 1e-6 to the norm.
    np.testing.assert_allclose(losses[0], 0.1194127829, atol=1e-9)
    np.testing.assert_allclose(losses[1], 0.0765471505, atol=1e-7)
    np.testing.assert_allclose(losses[3], 0.0389754845, atol=1e-7)
    norm = np.sqrt(sum(np.sum(g**2) for g in gradient.values()))
    np.testing.assert_allclose(norm, 1.1590256460, atol=1e-9)


GOLDENS = {
    "wrnn_adding": ("wrnn", {"activation": "relu", "n_ch": 3}),
    "irnn_adding": ("irnn", {"activation": "relu"}),
    "cornn_smnist": ("cornn", SMNIST),
    "nwm2d_smnist": ("nwm2d", SMNIST),
}


@pytest.mark.parametrize("name", GOLDENS)
def test_outputs_and_gradients_of_the_original(name):
    model, hp = GOLDENS[name]
    golden = np.load(GOLDEN / "sequences" / f"{name}.npz")
    params = {k[7:]: golden[k] for k in golden if k.startswith("params/")}

    def outputs(params):
        result = load_state_dict(params, model, **hp)(golden["inputs"])
        return jnp.mean(result**2), result

    (loss, result), gradient = jax.jit(jax.value_and_grad(outputs, has_aux=True))(
        params
    )
    np.testing.assert_allclose(result, golden["outputs"], atol=2e-5)
    np.testing.assert_allclose(loss, golden["mean_square_loss"], rtol=1e-5)
    for array, got in gradient.items():
        want = golden[f"grads/{array}"]
        assert np.linalg.norm(got - want) <= 1e-4 * np.linalg.norm(want), array


def test_an_mlp_reads_out_after_every_step(x64):
    params = wrnn()
    hidden = np.sin(np.arange(24.0)).reshape(3, 8)
    del params["readout.weight"], params["readout.bias"]
    params |= {
        "readout.0.weight": hidden,
        "readout.0.bias": np.array([0.1, -0.2, 0.3]),
        "readout.2.weight": np.array([[1.0, -1.0, 2.0]]),
        "readout.2.bias": np.array([0.5]),
    }
    inputs = np.sin(np.arange(12.0)).reshape(1, 6, 2)
    result, states = answer(params, "wrnn", inputs, activation="tanh", every_step=True)
    assert result.shape == (1, 6, 1)
    for time in (0, 5):
        flat = states[0, time].T.ravel()
        rectified = np.maximum(hidden @ flat + [0.1, -0.2, 0.3], 0)
        np.testing.assert_allclose(
            result[0, time, 0], rectified @ [1, -1, 2] + 0.5, atol=1e-12
        )


def test_local_kernels_of_the_wave_rnn(x64):
    params = wrnn()
    inputs = np.sin(np.arange(12.0)).reshape(1, 6, 2)
    same, _ = answer(params, "wrnn", inputs, activation="tanh")
    params["cell.Wy.weight"] = np.repeat(
        params["cell.Wy.weight"][None, :, :, None], 4, axis=3
    )
    params["cell.Wy.bias"] = np.repeat(params["cell.Wy.bias"][None, :, None], 4, axis=2)
    local, _ = answer(params, "wrnn", inputs, activation="tanh")
    np.testing.assert_allclose(local, same, atol=1e-12)


def test_uncoupled_without_its_numbers_has_ones(x64):
    params = uncoupled() | {"cell.Wz": np.ones(1), "cell.Wy": np.ones(1)}
    with_ones, _ = answer(params, "uncoupled", wave_input(), **PSMNIST)
    del params["cell.Wz"], params["cell.Wy"]
    without, _ = answer(params, "uncoupled", wave_input(), **PSMNIST)
    np.testing.assert_allclose(with_ones, without, atol=1e-15)
