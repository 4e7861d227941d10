"""Several training steps in one call of the device."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from nwm_jax import files
from nwm_jax.modules import fallback
from nwm_jax.training import mesh as meshes
from nwm_jax.training import room
from nwm_jax.training import state as states
from nwm_jax.training.state import TrainState
from nwm_jax.training.task import Task

DEFAULT_GROUP = 10


class Outcome(NamedTuple):
    """What a dispatch returns to the host.

    Attributes:
      done: int32 scalar, the number of updates that were applied.
      metrics: name -> float32 `[k]`, one entry per step; `loss` and `grad_norm` are
        always there. Entries after `done` mean nothing, but if `done` is less than what
        was asked for, entry `done` is of the step that was not finite.
      wish: int32 scalar, the smallest wish of all devices.
    """

    done: jax.Array
    metrics: dict[str, jax.Array]
    wish: jax.Array


def group_size(steps_per_dispatch: int) -> int:
    """Returns the most steps in one dispatch.

    Accelerators gain from several, for a step of a small model takes no longer than
    its dispatch. On a CPU there is nothing to gain, and XLA (jax 0.10) brings the gradient
    of its own convolution into its fast form only outside of loops: inside it is 10 to
    50 times slower.

    Args:
      steps_per_dispatch: the config's field; 0 leaves the choice to the backend.

    Returns:
      At least 1.
    """
    if steps_per_dispatch:
        return steps_per_dispatch
    return 1 if jax.default_backend() == "cpu" else DEFAULT_GROUP


def make_step(
    task: Task, optimizer: optax.GradientTransformation
) -> Callable[..., tuple[TrainState, dict[str, jax.Array], jax.Array]]:
    """Makes one training step.

    Args:
      task: has the loss.
      optimizer: the gradient transformation.

    Returns:
      `step(state, batch, key) -> (state, metrics, finite)`. If loss or gradient norm
      is not finite, `finite` is False and the state comes back as it was.
    """

    def step(state: TrainState, batch: Any, key: jax.Array) -> tuple:
        gradient = jax.value_and_grad(task.loss, has_aux=True)
        (loss, (metrics, other)), grads = gradient(
            state.params, state.state, batch, key
        )
        norm = optax.tree.norm(grads)
        finite = jnp.isfinite(loss) & jnp.isfinite(norm)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        new = TrainState(state.step + 1, params, other, opt_state)
        new = jax.tree.map(lambda new, old: jnp.where(finite, new, old), new, state)
        metrics = {**metrics, "loss": loss, "grad_norm": norm}
        return new, {k: jnp.float32(v) for k, v in metrics.items()}, finite

    return step


def make_dispatch(
    task: Task, optimizer: optax.GradientTransformation
) -> Callable[..., tuple[TrainState, Outcome]]:
    """Makes the function that runs up to k steps, with a trip count known at run time.

    The program does not depend on how many of the k steps are asked for, so the
    result does not depend on how the steps of a run are grouped.

    Batches of one step alone make a program without a loop, see `group_size`.

    Args:
      task: has the loss.
      optimizer: the gradient transformation.

    Returns:
      `dispatch(state, batches, count, key_data, wishes) -> (state, outcome)`: `batches`
      has leaves `[k, B, ...]` of which the first `count` are used; `key_data` is
      `state.key_data(seed)`; `wishes` int32 `[devices]`, by which the processes of a
      run agree on something without a round trip of its own.
    """
    step = make_step(task, optimizer)

    def dispatch(
        state: TrainState,
        batches: Any,
        count: jax.Array,
        key_data: jax.Array,
        wishes: jax.Array,
    ) -> tuple[TrainState, Outcome]:
        length = jax.tree.leaves(batches)[0].shape[0]

        def one(state: TrainState, i: jax.Array | int) -> tuple:
            batch = jax.tree.map(
                lambda leaf: jax.lax.dynamic_index_in_dim(leaf, i, keepdims=False),
                batches,
            )
            return step(state, batch, states.step_key(key_data, state.step))

        def body(carry: tuple) -> tuple:
            i, _, state, rows = carry
            state, metrics, finite = one(state, i)
            rows = {k: rows[k].at[i].set(value) for k, value in metrics.items()}
            return i + 1, finite, state, rows

        def going(carry: tuple) -> jax.Array:
            i, finite, _, _ = carry
            return finite & (i < count)

        if length == 1:
            state, metrics, finite = one(state, 0)
            rows = {k: value[None] for k, value in metrics.items()}
            done = jnp.int32(finite)
            return state, Outcome(done, rows, _smallest(wishes, done))
        names = jax.eval_shape(one, state, jnp.int32(0))[1]
        rows = {k: jnp.zeros(length, jnp.float32) for k in names}
        start = (jnp.int32(0), jnp.bool_(True), state, rows)
        i, finite, state, rows = jax.lax.while_loop(going, body, start)
        done = jnp.where(finite, i, i - 1)
        return state, Outcome(done, rows, _smallest(wishes, done))

    return dispatch


def _smallest(wishes: jax.Array, done: jax.Array) -> jax.Array:
    """Returns the smallest wish, asked for when the steps are done.

    XLA's CPU devices begin what does not depend on each other in any order: one that
    waited for the others' wishes before the step, while they wait for its gradient, would
    wait forever.
    """
    return jnp.min(jnp.where(done < 0, 0, wishes))


def make_batches(
    task: Task, step: int, count: int, group: int, rows: np.ndarray, mesh: Mesh
) -> Any:
    """Makes this process's part of several batches and puts it on the devices.

    Args:
      task: has the batches.
      step: the step of the first one.
      count: how many, at most `group`.
      group: k, the length of what the dispatch takes; zeros after `count`.
      rows: the rows of a batch that this process provides.
      mesh: the devices.

    Returns:
      Sharded batches `[k, B, ...]`.

    Raises:
      UserError: they take more memory than there is.
    """
    first = task.batch(step, rows)
    bytes_of_one = room.size(first)
    files.check_memory(
        2 * group * bytes_of_one,
        f"steps_per_dispatch={group} batches of {bytes_of_one / 1e6:.3g} MB",
        "lower steps_per_dispatch",
    )
    made = [first, *(task.batch(step + i, rows) for i in range(1, count))]

    def stack(*leaves: np.ndarray) -> np.ndarray:
        stacked = np.zeros((group, *leaves[0].shape), leaves[0].dtype)
        stacked[:count] = leaves
        return stacked

    return meshes.shard_batch(jax.tree.map(stack, *made), mesh, axis=1)


def compile_dispatch(
    task: Task,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    state: TrainState,
    batches: Any,
    options: dict[str, str] | None = None,
) -> jax.stages.Compiled:
    """Compiles the dispatch ahead of time, so that its cost is measured by itself.

    Args:
      task: has the loss.
      optimizer: the gradient transformation.
      mesh: the devices.
      state: a state, or its shapes with shardings.
      batches: sharded batches `[k, B, ...]`, or their shapes with shardings.
      options: of XLA; those of `modules.fallback.options` by default.

    Returns:
      The compiled function, called as
      `compiled(state, batches, np.int32(count), key_data, wishes)`; it takes the
      memory of `state`, which must not be used again.
    """
    function = jax.jit(
        make_dispatch(task, optimizer),
        donate_argnums=0,
        out_shardings=NamedSharding(mesh, PartitionSpec()),
    )
    wishes = shard_wish(0, mesh)
    with jax.set_mesh(mesh):
        lowered = function.lower(
            state, batches, np.int32(0), states.key_data(0), wishes
        )
    return fallback.compile_lowered(
        lowered, fallback.options() if options is None else options
    )


def shard_wish(wish: int, mesh: Mesh) -> jax.Array:
    """Puts this process's wish on each of its devices."""
    mine = len(meshes.process_rows(mesh.size, mesh))
    return meshes.shard_batch(np.full(mine, wish, np.int32), mesh)
