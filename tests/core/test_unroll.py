"""The scan over time: equal to a loop, with or without rematerialisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax import errors
from nwm_jax.core import oscillator, unroll
from tests.helpers import numerics
from tests.helpers.oscillator_fields import make, random_state

STEPS = 7
HPARAMS, PARAMS = make("torus", (3, 4), channels=2)
DRIVES = numerics.fill((2, STEPS, 3, 4, 2), 0, 3)
STATE = random_state(HPARAMS)


def step(params, state, drive):
    return oscillator.step(HPARAMS, params, state, drive)


def by_loop(params, state, drives):
    states = []
    for t in range(STEPS):
        state = step(params, state, drives[:, t])
        states.append(state)
    return state, jax.tree.map(lambda *s: jnp.stack(s, axis=1), *states)


def by_unroll(remat):
    return lambda params, state, drives: unroll.unroll(
        lambda s, d: step(params, s, d), state, drives, remat=remat
    )


def with_gradients(run):
    """((loss, (last state, all states)), gradients) of a recurrence."""

    def loss(*args):
        last, states = run(*args)
        value = jnp.mean(jnp.sin(3 * states.x)) + jnp.mean(states.v**2)
        return value, (last, states)

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))(
        PARAMS, STATE, DRIVES
    )


@pytest.fixture(scope="module")
def expected():
    return with_gradients(by_loop)


# 7 steps: every step alone, blocks and a rest, one block, less than a block; -1: of 2.
@pytest.mark.parametrize("remat", [0, 1, 3, 7, 20, -1])
def test_equals_a_loop(remat, expected) -> None:
    result = with_gradients(by_unroll(remat))
    assert jax.tree.structure(result) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)
    (_, (last, states)), _ = result
    np.testing.assert_array_equal(last.x, states.x[:, -1])


def test_trees_of_drives_and_states() -> None:
    drives = {"a": numerics.fill((2, 5, 3), 0), "b": [numerics.fill((2, 5), 1)]}
    last, states = unroll.unroll(
        lambda s, d: (s[0] + d["a"], s[1] * d["b"][0]),
        (jnp.zeros((2, 3)), jnp.ones(2)),
        drives,
        remat=2,
    )
    np.testing.assert_allclose(states[0], np.cumsum(drives["a"], axis=1), atol=1e-6)
    np.testing.assert_allclose(last[1], np.prod(drives["b"][0], axis=1), atol=1e-6)


def test_no_steps_at_all() -> None:
    for remat in (0, 3, -1):
        last, states = unroll.unroll(
            lambda s, d: s + d, jnp.ones((2, 3)), jnp.zeros((2, 0, 3)), remat=remat
        )
        assert states.shape == (2, 0, 3)
        np.testing.assert_array_equal(last, 1.0)


def test_remat_needs_less_memory() -> None:
    """Compiled memory of a gradient over 900 steps of a larger field."""
    hparams, params = make("torus", (8, 8), channels=4)
    state = random_state(hparams, batch=4)
    force = jnp.zeros((4, 8, 8, 4))

    def memory(remat: int, steps: int) -> int:
        def last_loss(params):
            # One force for all times, so that no array but the states grows.
            last, _ = unroll.unroll(
                lambda s, _: oscillator.step(hparams, params, s, force),
                state,
                jnp.zeros((1, steps)),
                remat=remat,
            )
            return jnp.mean(last.x**2)

        compiled = jax.jit(jax.grad(last_loss)).lower(params).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    plain, saved = memory(0, 900), memory(-1, 900)
    assert saved < 0.2 * plain
    # At blocks of sqrt(T), memory grows as sqrt(T): nine times the steps, three times it.
    assert saved < 4.0 * memory(-1, 100)
    assert saved == memory(30, 900)


def test_jit_and_vmap() -> None:
    run = by_unroll(3)
    many = jax.tree.map(lambda a: np.stack([a, 0.5 * a]), PARAMS)
    result = jax.jit(jax.vmap(run, in_axes=(0, None, None)))(many, STATE, DRIVES)
    one = jax.jit(run)(jax.tree.map(lambda a: a[1], many), STATE, DRIVES)
    for a, b in zip(jax.tree.leaves(result), jax.tree.leaves(one), strict=True):
        np.testing.assert_allclose(a[1], b, atol=2e-6)


def test_errors() -> None:
    with pytest.raises(errors.UserError, match="remat must be 0"):
        unroll.unroll(lambda s, d: s + d, jnp.ones(1), jnp.ones((1, 2)), remat=-2)
