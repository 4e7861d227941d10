"""What training carries from step to step, and the keys that depend on the step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from nwm_jax.modules import functional
from nwm_jax.training.task import Task

# For programs that run once: drawing the first weights compiles in 1.2 s instead of 3
# (`pendulum_nwm2d:laptop`), and takes as long.
_RUNS_ONCE = {"xla_backend_optimization_level": 1}


class TrainState(NamedTuple):
    """Everything that changes while training; all of it is in a checkpoint.

    Attributes:
      step: int32 scalar, the number of updates that were applied.
      params: nested dictionary of the parameters.
      state: nested dictionary of what the loss carries along and is not a parameter.
      opt_state: the optimizer's state.
    """

    step: jax.Array
    params: Any
    state: Any
    opt_state: Any


def key_data(seed: int) -> np.ndarray:
    """Returns the raw data of `jax.random.key(seed)`, which crosses `jit` anywhere."""
    return np.asarray(jax.random.key_data(jax.random.key(seed)))


def step_key(data: jax.Array, step: jax.Array) -> jax.Array:
    """Returns the key of one step, a function of the seed and the step alone.

    Args:
      data: the result of `key_data(seed)`.
      step: int32 scalar, the number of updates before this one.

    Returns:
      `fold_in(key(seed), step)`, a typed key.
    """
    return jax.random.fold_in(jax.random.wrap_key_data(data), step)


def init_key(data: jax.Array) -> jax.Array:
    """Returns the key of the initial parameters, which no step shares."""
    return jax.random.fold_in(jax.random.wrap_key_data(data), np.uint32(2**32 - 1))


def untrained(task: Task, seed: int) -> tuple[Any, Any]:
    """Returns the parameters and the other state that a run with this seed starts with."""
    make = jax.jit(
        lambda data: functional.split(task.init(init_key(data)))[1:],
        compiler_options=_RUNS_ONCE,
    )
    return make(key_data(seed))


def _create(
    task: Task, optimizer: optax.GradientTransformation, data: jax.Array
) -> TrainState:
    _, params, state = functional.split(task.init(init_key(data)))
    return TrainState(jnp.int32(0), params, state, optimizer.init(params))


def create(
    task: Task, optimizer: optax.GradientTransformation, seed: int, mesh: Mesh
) -> TrainState:
    """Makes the state before the first step, replicated over the mesh.

    Args:
      task: what is trained.
      optimizer: the gradient transformation.
      seed: the run's seed; equal seeds lead to equal parameters on any mesh.
      mesh: the devices.

    Returns:
      A `TrainState` at step 0.
    """
    make = jax.jit(
        lambda data: _create(task, optimizer, data),
        out_shardings=NamedSharding(mesh, PartitionSpec()),
        compiler_options=_RUNS_ONCE,
    )
    return make(key_data(seed))


def abstract(
    task: Task, optimizer: optax.GradientTransformation, mesh: Mesh
) -> TrainState:
    """Returns the shapes, types and shardings of the state, without computing it."""
    shapes = jax.eval_shape(lambda data: _create(task, optimizer, data), key_data(0))
    return _replicated(shapes, NamedSharding(mesh, PartitionSpec()))


def abstract_model(task: Task, sharding: jax.sharding.Sharding) -> tuple[Any, Any]:
    """Returns the shapes of a model's parameters and of its other state.

    Args:
      task: what is trained.
      sharding: where the arrays shall live.

    Returns:
      `(params, state)`, trees of `jax.ShapeDtypeStruct`.
    """
    shapes = jax.eval_shape(
        lambda data: functional.split(task.init(init_key(data)))[1:], key_data(0)
    )
    return _replicated(shapes, sharding)


def _replicated(shapes: Any, sharding: jax.sharding.Sharding) -> Any:
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        shapes,
    )
