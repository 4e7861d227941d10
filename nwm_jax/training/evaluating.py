"""Scores a model on the examples of an evaluation: shards, pads, gathers, summarises."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from nwm_jax import files
from nwm_jax.errors import UserError
from nwm_jax.modules import functional
from nwm_jax.training import mesh as meshes
from nwm_jax.training import room
from nwm_jax.training.evaluation import Evaluation


def make_gather(
    evaluation: Evaluation, mesh: Mesh, batch_size: int
) -> Callable[..., dict[str, np.ndarray]]:
    """Returns a function that scores examples; it compiles once, at its first call.

    Args:
      evaluation: what is computed; a task is the evaluation of its own scores.
      mesh: the devices; the examples of a batch are dealt out to them.
      batch_size: examples at a time; rounded up to a multiple of the devices.

    Returns:
      `gather(params, state, num=None, progress=None) -> scores`, where `num` is the
      number of examples, the first of the fixed set (None or 0: all), and
      `progress(done, num)` is called after every batch. The scores of all examples are
      host arrays, equal in every process and independent of the number of devices.

    Raises:
      UserError: `batch_size` is not positive, or (when called) needs more memory than
        there is.
    """
    if batch_size < 1:
        raise UserError(f"eval.batch_size={batch_size} must be 1 or more")
    batch_size = -(-batch_size // mesh.size) * mesh.size
    rows = meshes.process_rows(batch_size, mesh)
    score = jax.jit(
        lambda params, state, batch: evaluation.score(
            functional.merge(evaluation.graphdef, params, state), batch
        ),
        out_shardings=NamedSharding(mesh, PartitionSpec()),
    )

    fits = False

    def gather(
        params: Any,
        state: Any,
        num: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> dict[str, np.ndarray]:
        nonlocal fits
        num = min(num or evaluation.num_eval, evaluation.num_eval)
        params, state = (meshes.replicate(tree, mesh) for tree in (params, state))
        parts = []
        for start in range(0, num, batch_size):
            # A last batch that is short is filled up with its last example.
            indices = np.minimum(np.arange(start, start + batch_size), num - 1)
            batch = meshes.shard_batch(evaluation.eval_batch(indices[rows]), mesh)
            with jax.enable_x64(False), jax.set_mesh(mesh):
                if not fits:  # the call below takes the same program
                    program = score.lower(params, state, batch).compile()
                    room.check_program(program, "eval.batch_size", batch_size, mesh)
                    fits = True
                scores = jax.device_get(score(params, state, batch))
            if start == 0:  # they are kept, and then put together
                kept = 2 * room.size(scores) / batch_size * num
                files.check_memory(kept, f"the scores of {num} examples", "score fewer")
            parts.append({k: v[: num - start] for k, v in scores.items()})
            if progress:
                progress(min(start + batch_size, num), num)
        return {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}

    return gather


def make_eval(
    evaluation: Evaluation, mesh: Mesh, batch_size: int
) -> Callable[..., dict[str, Any]]:
    """Returns a function that evaluates; arguments and errors as for `make_gather`.

    Returns:
      `evaluate(params, state, num=None, progress=None) -> summary`, the nested
      dictionary of `Evaluation.summarise`.
    """
    gather = make_gather(evaluation, mesh, batch_size)
    return lambda *args, **options: evaluation.summarise(gather(*args, **options))


def run_eval(
    evaluation: Evaluation,
    params: Any,
    state: Any,
    mesh: Mesh,
    batch_size: int,
    num: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Evaluates once.

    Args:
      evaluation: what is computed; a task is the evaluation of its own scores.
      params: the model's parameters.
      state: what is not a parameter.
      mesh: the devices.
      batch_size: examples at a time; rounded up to a multiple of the devices.
      num: the number of examples, the first of the fixed set; None: all.
      progress: called with `(done, num)` after every batch.

    Returns:
      The nested dictionary of `Evaluation.summarise`.
    """
    return make_eval(evaluation, mesh, batch_size)(params, state, num, progress)


def flatten(summary: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Returns the single numbers of a nested summary.

    Args:
      summary: nested dictionaries of numbers, lists, texts.
      prefix: put before every name.

    Returns:
      `{"relative_mse/forecast": 0.1, ...}`; lists and texts are left out.
    """
    flat: dict[str, float] = {}
    for name, value in summary.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}/")
        elif isinstance(value, (bool, str)) or np.ndim(value) or value is None:
            continue
        else:
            flat[f"{prefix}{name}"] = float(value)
    return flat
