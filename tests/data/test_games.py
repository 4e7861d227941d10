"""Replicator dynamics against numbers of the original program and against its laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.integrate import solve_ivp

from nwm_jax.data import render, suite, systems
from tests.helpers.golden_files import GOLDEN

GAMES = ("matching_pennies", "rock_paper_scissors")


@pytest.fixture(scope="module", params=GAMES)
def played(request):
    """A game, and 64 trajectories of it over 256 frames."""
    game = systems.get(request.param)
    x0 = game.sample(jax.random.key(0), 64)
    return game, game.simulate(game.payoff, x0, dt=0.1, num_steps=255)


@pytest.mark.parametrize(("variant", "dt"), [("dt0_05", 0.05), ("dt0_1", 0.1)])
def test_pennies_equal_golden(variant, dt):
    game = systems.get("matching_pennies")
    with np.load(GOLDEN / "data" / "matching_pennies.npz") as arrays:
        np.testing.assert_array_equal(game.payoff, arrays["payoff"])
        g = {k.split("__")[1]: arrays[k] for k in arrays if k.startswith(variant)}
    # As many as in the other tests, which is compiled already.
    x0 = np.resize(g["x0"], (64, 4))
    x = game.simulate(game.payoff, x0, dt=dt, num_steps=255)[:3, :21]
    assert x.dtype == np.float64
    np.testing.assert_allclose(x, g["x"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(x, g["x_reference"], rtol=0, atol=1e-12)
    field = game.vector_field(game.payoff, g["x"])
    np.testing.assert_allclose(field, g["dx_dt"], rtol=0, atol=1e-14)
    np.testing.assert_allclose(game.invariant(g["x"]), g["energy"], atol=1e-13)
    image = game.observe(g["x"])
    np.testing.assert_allclose(image, g["image"], rtol=0, atol=1e-15)
    np.testing.assert_array_equal(render.to_uint8(image), g["image_uint8"])


@pytest.mark.parametrize("example", ["index0", "index1"])
def test_rock_paper_scissors_equals_generated_ones(example):
    game = systems.get("rock_paper_scissors")
    with np.load(GOLDEN / "data" / "generated.npz") as arrays:
        prefix = f"rock_paper_scissors__{example}__"
        g = {k.removeprefix(prefix): arrays[k] for k in arrays if prefix in k}
    x = game.simulate(game.payoff, g["x"][:1], dt=0.05, num_steps=5)
    np.testing.assert_allclose(x[0], g["x"], rtol=0, atol=3e-12)
    field = game.vector_field(game.payoff, g["x"])
    np.testing.assert_allclose(field, g["dx_dt"], rtol=0, atol=1e-14)
    np.testing.assert_array_equal(render.to_uint8(game.observe(g["x"])), g["image"])


def test_larger_payoffs_only_make_it_faster(played):
    game, x = played
    fast = game.simulate(100 * game.payoff, x[:, 0], dt=0.1, num_steps=2)
    np.testing.assert_allclose(fast, x[:, [0, 100, 200]], rtol=0, atol=1e-9)


def test_field_is_the_replicator_equation(played):
    game, x = played
    field = game.vector_field(game.payoff, x[:5, 0])
    n = game.num_actions
    for i in range(5):
        s, w = np.split(x[i, 0], 2)
        for a in range(n):
            gain = game.payoff[0, a] @ w - s @ game.payoff[0] @ w
            assert field[i, a] == pytest.approx(s[a] * gain, abs=1e-15)
            gain = s @ game.payoff[1, :, a] - s @ game.payoff[1] @ w
            assert field[i, n + a] == pytest.approx(w[a] * gain, abs=1e-15)
    np.testing.assert_array_equal(game.payoff[1], -game.payoff[0])
    nash = np.full(2 * n, 1 / n)
    np.testing.assert_allclose(game.vector_field(game.payoff, nash), 0, atol=1e-16)


def test_rock_beats_scissors_beats_paper_beats_rock():
    rock, paper, scissors = np.eye(3)
    gain = systems.get("rock_paper_scissors").payoff[0]
    for winner, loser in ((rock, scissors), (scissors, paper), (paper, rock)):
        assert winner @ gain @ loser == 1 and loser @ gain @ winner == -1


def test_what_is_conserved(played):
    game, x = played
    assert x.shape == (64, 256, 2 * game.num_actions) and x.min() > 0
    for strategy in np.split(x, 2, axis=-1):
        np.testing.assert_allclose(strategy.sum(-1), 1, rtol=0, atol=1e-13)
    invariant = game.invariant(x)
    np.testing.assert_allclose(invariant, invariant[:, :1] + np.zeros(256), atol=1e-10)
    assert np.ptp(x, axis=1).max() > 0.5  # they do move


def test_time_reversal(played):
    game, x = played
    back = game.simulate(game.payoff, x[:, -1], dt=-0.1, num_steps=255)
    np.testing.assert_allclose(back[:, ::-1], x, rtol=0, atol=1e-10)


def test_an_adaptive_solver_agrees(played):
    game, x = played
    for i in range(2):
        solution = solve_ivp(
            lambda _, x: game.vector_field(game.payoff, x),
            (0, 10),
            x[i, 0],
            method="DOP853",
            t_eval=0.1 * np.arange(101),
            rtol=1e-13,
            atol=1e-15,
        )
        np.testing.assert_allclose(x[i, :101], solution.y.T, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", GAMES)
def test_strategies_are_uniform_on_simplexes(name):
    game = systems.get(name)
    x0 = game.sample(jax.random.key(1), 4000)
    few = game.sample(key=jax.random.key(1), n=10, spec=suite.get(name))
    np.testing.assert_array_equal(x0[:10], few)
    n = game.num_actions
    for strategy in np.split(x0, 2, axis=1):
        np.testing.assert_allclose(strategy.sum(1), 1, atol=1e-15)
        for share in strategy.T:  # of the flat Dirichlet distribution
            assert stats.kstest(share, stats.beta(1, n - 1).cdf).pvalue > 1e-3
        between = np.corrcoef(strategy.T)[0, 1]
        assert between == pytest.approx(-1 / (n - 1), abs=0.05)
    assert np.abs(np.corrcoef(x0.T)[:n, n:]).max() < 0.06


def test_pictures_are_blocks_of_joint_strategies():
    game = systems.get("rock_paper_scissors")
    x = np.array([0.5, 0.3, 0.2, 0.1, 0.2, 0.7])
    image = game.observe(x)
    assert image.shape == (32, 32, 3)
    edges = (0, 11, 22, 32)
    for i in range(3):
        for j in range(3):
            block = image[edges[i] : edges[i + 1], edges[j] : edges[j + 1]]
            assert (block == x[i] * x[3 + j]).all() and block.size
    single = jnp.asarray(np.stack([x, x[::-1]]), jnp.float32)[:, None]
    drawn = jax.jit(game.observe)(single)
    assert drawn.shape == (2, 1, 32, 32, 3) and drawn.dtype == jnp.float32
    np.testing.assert_allclose(drawn[0, 0], image, atol=1e-7)
