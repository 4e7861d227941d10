"""The optimizers and learning-rate schedules that a config can name."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from nwm_jax.errors import UserError, unknown

# The names that `optimizer.name` and `optimizer.schedule` may have.
OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop")
SCHEDULES = ("constant", "cosine", "step")


def build(config: Any, num_steps: int) -> optax.GradientTransformation:
    """Builds the gradient transformation of `config.optimizer`.

    The gradient is clipped to global norm `clip` (0: not at all), then goes through
    the optimizer. `weight_decay` is decoupled in adamw and an L2 term added to the
    clipped gradient in the others.

    Args:
      config: has `name`, `clip`, `weight_decay` and what `learning_rate` reads, and
        maybe `momentum` (of "sgd": the sum of gradients forgets at this rate a step).
      num_steps: the length of the run, by which schedules are measured.

    Returns:
      An optax gradient transformation.

    Raises:
      UserError: a name is unknown or a number is out of its range.
    """
    _check_name("optimizer.name", config.name, OPTIMIZERS)
    _check_number("optimizer.learning_rate", config.learning_rate, positive=True)
    for field in ("warmup_steps", "clip", "weight_decay"):
        _check_number(f"optimizer.{field}", config[field])
    if not 0 <= config.get("momentum", 0.0) < 1:
        raise UserError(
            f"optimizer.momentum={config.momentum} must be at least 0 and below 1"
        )
    if config.get("momentum") and config.name != "sgd":
        raise UserError(
            f"optimizer.momentum={config.momentum} is of sgd, not of {config.name}"
        )
    rate = learning_rate(config, num_steps)
    parts = []
    if config.clip > 0:
        parts.append(optax.clip_by_global_norm(config.clip))
    if config.name == "adamw":
        parts.append(optax.adamw(rate, weight_decay=config.weight_decay))
        return optax.chain(*parts)
    if config.weight_decay > 0:
        parts.append(optax.add_decayed_weights(config.weight_decay))
    options = {"momentum": config.momentum} if config.get("momentum") else {}
    parts.append(getattr(optax, config.name)(rate, **options))
    return optax.chain(*parts)


def learning_rate(config: Any, num_steps: int) -> Callable[[Any], jax.Array]:
    r"""Builds the schedule of the learning rate.

    With :math:`s` the number of updates so far, :math:`W` the warm-up and :math:`N` the
    length of the run: :math:`\eta_s = \eta\,(s+1)/W` for :math:`s < W`; afterwards
    :math:`\eta` (constant),
    :math:`\tfrac{\eta}{2}(1+\cos\pi\,\tfrac{s-W}{N-W})` (cosine) or
    :math:`\eta f^{\lfloor s / D \rfloor}` with :math:`D` the nearest integer to
    :math:`d N` (step; `d` is `drop_every`, `f` is `drop_factor`).

    Args:
      config: has `learning_rate`, `schedule`, `warmup_steps`, `drop_every` and
        `drop_factor`.
      num_steps: N, the length of the run.

    Returns:
      A function from the number of updates so far to the learning rate.

    Raises:
      UserError: the schedule is unknown, the warm-up is longer than the run, or a
        number of the drops is not above 0.
    """
    _check_name("optimizer.schedule", config.schedule, SCHEDULES)
    peak, warmup, cosine = (
        config.learning_rate,
        config.warmup_steps,
        config.schedule == "cosine",
    )
    if cosine and warmup >= num_steps:
        raise UserError(
            f"optimizer.warmup_steps={warmup} leaves nothing of num_steps={num_steps} "
            "for the cosine; take fewer"
        )

    drop = 0
    if config.schedule == "step":
        _check_number("optimizer.drop_factor", config.drop_factor, positive=True)
        _check_number("optimizer.drop_every", config.drop_every, positive=True)
        drop = max(1, round(config.drop_every * num_steps))

    def schedule(step: Any) -> jax.Array:
        rate = jnp.asarray(peak, jnp.float32)
        if drop:
            rate = rate * jnp.float32(config.drop_factor) ** (step // drop)
        if cosine:
            done = jnp.clip((step - warmup) / (num_steps - warmup), 0.0, 1.0)
            rate = rate * 0.5 * (1 + jnp.cos(jnp.pi * done))
        if warmup:
            rate = rate * jnp.minimum(1.0, (step + 1) / warmup)
        return rate

    return schedule


def _check_name(field: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise unknown(field, name, known)


def _check_number(field: str, value: float, positive: bool = False) -> None:
    if not math.isfinite(value) or value < 0 or (positive and value == 0):
        wanted = "greater than 0" if positive else "0 or more"
        raise UserError(f"{field}={value} must be a finite number, {wanted}")
