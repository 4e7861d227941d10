"""The copy task: ten symbols, a long silence, then all ten again.

Ten symbols out of 1-8 come first; 0 is the blank, 9 the delimiter. After the blanks the
delimiter asks for the symbols, in their order. The paper of the wave RNN
(arXiv:2309.08045) and its program lay the same sequence out differently:

=======  ==================  ===========================  ======  ========  ==========
layout   T                   inputs                       length  recalled  delay
=======  ==================  ===========================  ======  ========  ==========
paper    the blanks          10 symbols, T blanks,        T + 20  last 10   T + 10
                             delimiter, 9 blanks
code     the delay           10 symbols, T - 11 blanks,   T + 10  last 10   T
                             delimiter, 10 blanks
=======  ==================  ===========================  ======  ========  ==========

So in "paper" the delimiter comes with the first symbol to recall, in "code" one step
before; "code" with T = 10 overwrites the last symbol with the delimiter, and recalls it.
"""

import numpy as np

from nwm_jax.data.sequences import draws
from nwm_jax.errors import UserError, unknown

LAYOUTS = ("paper", "code")
NUM_SYMBOLS = 10
CLASSES = 10
DELIMITER = 9


def length(blanks: int, layout: str = "paper") -> int:
    """Steps of a sequence.

    Args:
      blanks: T: the number of blanks ("paper", >= 0) or the delay ("code", >= 10).
      layout: "paper" or "code".

    Raises:
      UserError: unknown layout, or a T that is too small for it.
    """
    if layout not in LAYOUTS:
        raise unknown("layout", layout, LAYOUTS)
    least = 0 if layout == "paper" else NUM_SYMBOLS
    if blanks < least:
        raise UserError(
            f"T={blanks} is too short for layout {layout!r}: take {least} or more"
        )
    return blanks + (2 * NUM_SYMBOLS if layout == "paper" else NUM_SYMBOLS)


def delay(blanks: int, layout: str = "paper") -> int:
    """Steps from a symbol to its recall; arguments as for `length`."""
    return length(blanks, layout) - NUM_SYMBOLS


def lay_out(
    symbols: np.ndarray, blanks: int, layout: str = "paper"
) -> tuple[np.ndarray, np.ndarray]:
    """Symbols to sequences.

    Args:
      symbols: integers 1-8, ``[n, 10]``.
      blanks: T, see `length`.
      layout: "paper" or "code".

    Returns:
      Inputs and targets, integers 0-9 in uint8, ``[n, length]`` each.

    Raises:
      UserError: as `length`.
    """
    steps = length(blanks, layout)
    inputs = np.zeros((len(symbols), steps), np.uint8)
    inputs[:, :NUM_SYMBOLS] = symbols
    inputs[:, steps - NUM_SYMBOLS - (layout == "code")] = DELIMITER
    targets = np.zeros_like(inputs)
    targets[:, -NUM_SYMBOLS:] = inputs[:, :NUM_SYMBOLS]
    return inputs, targets


def train_symbols(seed: int, step: int, batch_size: int) -> np.ndarray:
    """The symbols of a training batch, ``[batch_size, 10]``, new in every step."""
    rng = draws.generator(seed, draws.COPY, step)
    return rng.integers(1, DELIMITER, (batch_size, NUM_SYMBOLS))


def eval_symbols(seed: int, num: int) -> np.ndarray:
    """The symbols of a fixed evaluation set, ``[num, 10]``."""
    rng = draws.generator(seed, draws.COPY_EVAL)
    return rng.integers(1, DELIMITER, (num, NUM_SYMBOLS))
