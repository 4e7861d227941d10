"""The segmentation models against numbers of the original modules in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.core import segmentation, sheet
from nwm_jax.core.coupling import laplacian
from nwm_jax.core.layouts import IMAGES, PLANES, to_planes
from nwm_jax.core.sheet import SheetScene, SheetState
from nwm_jax.interop.torch import load_state_dict
from nwm_jax.modules import functional
from tests.helpers import segmentation_weights as filled

NWM = {"num_steps": 10, "dt": 0.1}
NARROW = (32,) * 5


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def load_nwm(readout, hidden=(256, 256, 256)):
    features = 12 if readout in ("fft", "linear") else 2
    arrays = filled.fill(filled.nwm(features, hidden))
    return load_state_dict(arrays, "segmentation_nwm", readout=readout, **NWM)


def l2(array):
    return float(np.linalg.norm(np.ravel(array)))


def test_the_rule():
    v = filled.raw((4,), 0)
    np.testing.assert_allclose(
        v, [-0.96626984, -0.89087302, -0.69246032, -0.37103175], atol=1e-8
    )
    v = filled.raw((3,), 3)
    np.testing.assert_allclose(v, [-0.36507937, -0.28968254, -0.09126984], atol=1e-8)


@pytest.mark.parametrize("layout", (IMAGES, PLANES), ids=("images", "planes"))
def test_one_point_spreads(layout):
    ordered = to_planes if layout is PLANES else (lambda field: field)
    x = ordered(jnp.zeros((1, 4, 4, 1)).at[0, 1, 1, 0].set(1.0))
    scene = SheetScene(jnp.full_like(x, 0.5), jnp.full_like(x, 0.2))
    state, coupling = SheetState(x, jnp.zeros_like(x)), jnp.float64(laplacian(1))

    def step(state):
        return sheet.sheet_step(layout, coupling, scene, state, 0.1)

    def seen(field):
        return np.asarray(ordered(field))[0, :, :, 0]

    one = step(state)
    near = np.abs(np.array([[0.0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]))
    expected = 0.00761594 * near
    expected[1, 1] = 0.98500671
    np.testing.assert_allclose(seen(one.x), expected, atol=1e-8)
    expected = 0.07615942 * near
    expected[1, 1] = -0.14993293
    np.testing.assert_allclose(seen(one.v), expected, atol=1e-8)
    two = step(one)
    assert seen(two.x)[1, 1] == pytest.approx(0.95539628, abs=1e-8)
    np.testing.assert_allclose(seen(two.x)[near == 1], 0.02245981, atol=1e-8)
    for place in ((0, 0), (2, 2), (1, 3), (3, 1)):
        assert seen(two.x)[place] == pytest.approx(1.52307052e-4, abs=1e-11)
    assert seen(two.x)[3, 3] == 0
    for _ in range(48):
        two = jax.jit(step)(two)
    assert seen(two.x).sum() == pytest.approx(-1.30272000, abs=1e-7)
    assert seen(two.x)[1, 1] == pytest.approx(-0.02951014, abs=1e-7)
    assert seen(two.x)[3, 3] == pytest.approx(-0.51530929, abs=1e-7)


def test_dispersion():
    start = 1e-3 * np.cos(2 * np.pi * 2 * np.arange(32) / 32)
    x = jnp.broadcast_to(jnp.asarray(start)[None, :, None, None], (1, 32, 32, 1))
    x = to_planes(x)
    scene = SheetScene(jnp.full_like(x, 0.25), jnp.zeros_like(x))
    coupling = jnp.float64(laplacian(1))

    def one(state, _):
        state = sheet.sheet_step(PLANES, coupling, scene, state, 0.1)
        return state, state.x[0, :, 0, 0]

    start = SheetState(x, jnp.zeros_like(x))
    _, series = jax.lax.scan(one, start, None, length=100)
    ratio = series[:, 0] / 1e-3
    result = [float(ratio[t - 1]) for t in (1, 25, 50, 100)]
    expected = [0.99597759, -0.04675425, -0.99859451, 0.99628660]
    np.testing.assert_allclose(result, expected, atol=3e-8)
    eigenvalue = 0.25 + 4 * np.sin(2 * np.pi / 32) ** 2
    theta = np.arccos(1 - 0.01 * eigenvalue / 2)
    t = np.arange(1, 101)
    wave = np.cos((t + 0.5) * theta) / np.cos(theta / 2)
    np.testing.assert_allclose(ratio, wave, atol=5e-7)


def test_the_fields_of_the_nwm():
    model = load_nwm("linear")
    images = filled.images(2, 3, 8)
    scene, state = model.encode(images)
    assert float(scene.gamma.mean()) == pytest.approx(0.02206280, abs=1e-8)
    assert l2(scene.gamma) == pytest.approx(1.36332075, abs=1e-7)
    assert float(scene.alpha.mean()) == pytest.approx(0.72479249, abs=1e-8)
    assert l2(scene.alpha) == pytest.approx(18.32224468, abs=1e-7)
    assert float(scene.alpha[0, 0, 0, 0]) == pytest.approx(0.79724652, abs=1e-8)
    assert float(state.x.mean()) == pytest.approx(0.23367522, abs=1e-8)
    assert l2(state.x) == pytest.approx(5.04112447, abs=1e-7)
    assert float(state.x[0, 0, 0, 0]) == pytest.approx(-0.39239687, abs=1e-8)
    assert float(state.x[1, 3, 5, 1]) == pytest.approx(0.26470054, abs=1e-8)
    series = model.states(images)
    assert series.shape == (2, 10, 8, 8, 2)
    assert l2(series[:, 0]) == pytest.approx(5.01513331, abs=1e-7)
    assert float(series[1, 0, 3, 5, 1]) == pytest.approx(0.26819148, abs=1e-8)
    assert float(series[:, -1].mean()) == pytest.approx(0.24290685, abs=1e-8)
    assert l2(series[:, -1]) == pytest.approx(4.47540346, abs=1e-7)
    assert float(series[0, -1, 0, 0, 0]) == pytest.approx(-0.00022676, abs=1e-8)
    assert float(series[1, -1, 3, 5, 1]) == pytest.approx(0.40704591, abs=1e-8)


LOGITS = {
    "last": (0.28200101, 18.40151085, 0.48221985, 1.43302409, 0.05238876),
    "mean_time": (0.28061832, 18.91111114, 0.70625431, 1.28684397, 0.05523203),
    "max_time": (0.33432598, 21.92203280, 0.48221985, 1.44116529, 0.05862225),
    "fft": (0.37771400, 90.89311779, 2.36237337, 2.60287782, 1.46705585),
    "linear": (0.38959518, 30.73011294, 0.74782452, 1.30577984, 0.08432766),
    "narrow": (-1.31337159, 55.15965444, -0.67217106, -3.20828825, -1.42389902),
}


def check_logits(logits, mean, norm, *probes):
    assert float(logits.mean()) == pytest.approx(mean, abs=1e-7)
    assert l2(logits) == pytest.approx(norm, abs=2e-6)
    places = ((0, 0, 0, 0), (1, 3, 5, 1), (1, 6, 2, 5))
    for place, probe in zip(places, probes, strict=False):
        if probe is not None:
            assert float(logits[place]) == pytest.approx(probe, abs=1e-7)


@pytest.mark.parametrize("readout", LOGITS)
def test_logits_of_the_nwm(readout):
    if readout == "narrow":
        model = load_nwm("linear", NARROW)
    else:
        model = load_nwm(readout)
    check_logits(model(filled.images(2, 3, 8)), *LOGITS[readout])


GRADIENTS = {
    "linear": {
        "loss": (2.17809322, 2.41960591),
        "head/layers/0/kernel": 0.72412158,
        "cell/gamma/convs/0/kernel": 0.03546075,
        "cell/alpha/convs/2/kernel": 0.01276540,
        "cell/x/convs/3/kernel": 1.12010632,
        "cell/coupling": 0.33992566,
        "readout/basis": 0.59454915,
    },
    "fft": {
        "loss": (3.04383201, 3.31877749),
        "head/layers/0/kernel": 1.62210635,
        "cell/gamma/convs/0/kernel": 0.04740701,
        "cell/alpha/convs/2/kernel": 0.02694865,
        "cell/x/convs/3/kernel": 3.39431583,
        "cell/coupling": 0.83200936,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("readout", "remat"),
    [
        ("linear", 4),
        ("fft", 4),
        pytest.param("linear", 0, marks=pytest.mark.slow),
        pytest.param("fft", 0, marks=pytest.mark.slow),
    ],
)
def test_gradients_of_the_nwm(readout, remat):
    model = load_nwm(readout)
    model.remat = remat
    images = filled.images(2, 3, 8)
    labels = (7 * np.arange(128) % 6).reshape(2, 8, 8)
    graphdef, params, rest = functional.split(model)

    def loss(params):
        model = functional.merge(graphdef, params, rest)
        return model.score(images, labels, segmentation.all_sums)

    compute = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (value, sums), gradients = compute(params)
    expected = dict(GRADIENTS[readout])
    whole, foreground = expected.pop("loss")
    assert float(value) == pytest.approx(whole, abs=1e-7)
    result = sums["foreground_cross_entropy"].sum() / sums["foreground"].sum()
    assert float(result) == pytest.approx(foreground, abs=1e-7)
    for path, norm in expected.items():
        leaf = gradients
        for key in path.split("/"):
            leaf = leaf[int(key) if key.isdigit() else key]
        assert l2(leaf) == pytest.approx(norm, rel=1e-6)


@pytest.mark.slow
def test_the_convolutional_lstm():
    images = filled.images(2, 3, 8)
    expected = {
        "linear": (0.12903924, 7.44413349, 0.59910668, 0.14261844),
        "last": (0.11314277, 6.41115991),
        "fft": (0.04223986, 9.74208821, None, 0.49956393),
    }
    for readout, numbers in expected.items():
        features = 2 if readout == "last" else 8
        model = load_state_dict(
            filled.fill(filled.convlstm(features)),
            "convlstm",
            readout=readout,
            num_steps=6,
        )
        check_logits(model(images), *numbers)
    series = model.states(images)
    assert l2(series[:, 0]) == pytest.approx(2.45265854, abs=1e-7)
    assert float(series[1, 0, 3, 5, 1]) == pytest.approx(-0.10844524, abs=1e-8)
    assert l2(series[:, -1]) == pytest.approx(0.49629626, abs=1e-7)
    assert float(series[1, -1, 3, 5, 1]) == pytest.approx(-0.02570447, abs=1e-8)


def test_the_convolutional_network():
    model = load_state_dict(filled.fill(filled.cnn()), "cnn")
    images = filled.images(2, 3, 8)
    narrow = model.encode(images)
    assert l2(narrow) == pytest.approx(5.08648226, abs=1e-7)
    assert float(narrow[1, 3, 5, 1]) == pytest.approx(0.22100184, abs=1e-8)
    numbers = (0.62116634, 37.36405033, 0.44778129, 1.48370894, -0.08130572)
    check_logits(model(images), *numbers)


@pytest.mark.slow
def test_the_u_net():
    model = load_state_dict(filled.fresh_unet(), "unet")
    images = filled.images(2, 1, 32)
    logits = model(images, train=True)
    numbers = (-0.20690684, 149.09132864, -2.30558700, -0.02777778)
    check_logits(logits, *numbers)
    norm = model.first.norms[0]
    np.testing.assert_allclose(norm.mean[...], [-0.14197790, -0.07596520], atol=1e-8)
    np.testing.assert_allclose(norm.variance[...], [0.98136641, 0.92755364], atol=1e-8)
    numbers = (-0.01687276, 17.25533039, -0.10260989, -0.05150776)
    check_logits(model(images), *numbers)
