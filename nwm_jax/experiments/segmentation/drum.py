"""The verb `drum`: strikes a clamped membrane and hears its area at every cell.

A fixed network of local waves is a membrane (arXiv:2502.06034). The lowest frequency that
any of its cells oscillates with reveals the area of the whole, though no cell sees more
than its neighbours.
"""

import io
import wave
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from nwm_jax import files
from nwm_jax.core import membrane
from nwm_jax.data.segmentation.membranes import read_mask
from nwm_jax.errors import UserError
from nwm_jax.experiments.segmentation import drum_figures

FLAGS = flags.FlagValues()
SHAPE = flags.DEFINE_enum(
    "shape", "square", list(membrane.SHAPES), "shape of the drum", flag_values=FLAGS
)
SIZE = flags.DEFINE_integer(
    "size",
    24,
    "side of a square; radius of a disc or of the circle around a triangle",
    lower_bound=1,
    flag_values=FLAGS,
)
CANVAS = flags.DEFINE_integer(
    "canvas",
    48,
    "pixels of the canvas along each axis",
    lower_bound=3,
    upper_bound=512,
    flag_values=FLAGS,
)
MASK = flags.DEFINE_string(
    "mask",
    None,
    "a membrane of your own instead of --shape: a .npy file [H, W], or a picture, "
    "where what is not zero is the membrane",
    flag_values=FLAGS,
)
STRIKE = flags.DEFINE_float(
    "strike",
    0.0,
    "standard deviation of the bump that strikes it, in pixels; 0: a quarter of the "
    "square root of the area",
    lower_bound=0.0,
    flag_values=FLAGS,
)
STEPS = flags.DEFINE_integer(
    "steps", 2048, "time steps", lower_bound=64, flag_values=FLAGS
)
DT = flags.DEFINE_float("dt", 0.5, "length of a time step", flag_values=FLAGS)
SPEED = flags.DEFINE_float(
    "speed", 1.0, "speed of the waves, pixels per unit of time", flag_values=FLAGS
)
OUT = flags.DEFINE_string("out", "drum.png", "the picture to write", flag_values=FLAGS)
WAV = flags.DEFINE_string("wav", None, "a sound to write, .wav", flag_values=FLAGS)

# Other sizes of the same shape, for the line of predicted against true areas.
_LADDERS = {
    "square": (8, 12, 16, 20, 24, 28, 32),
    "disc": (6, 8, 10, 12, 14, 16),
    "triangle": (10, 12, 14, 16, 18, 20),
}
_SOUND_RATE = 8_000
_SOUND_SECONDS = 2.0


class Heard(NamedTuple):
    """What was heard of a drum.

    Attributes:
      membrane: bool ``[H, W]``.
      series: displacement over time, ``[T, H, W]``.
      frequencies: of every pixel of the membrane, ``[N]``.
      areas: what each predicts, ``[N]``.
    """

    membrane: np.ndarray
    series: np.ndarray
    frequencies: np.ndarray
    areas: np.ndarray


def hear(
    mask: np.ndarray,
    kappa: float,
    *,
    width: float = 0.0,
    num_steps: int = 2048,
    dt: float = 0.5,
    speed: float = 1.0,
) -> Heard:
    """Strikes a drum and hears its area at every pixel.

    Args:
      mask: the membrane, bool ``[H, W]``.
      kappa: of its shape, see `core.membrane.KAPPA`.
      width: of the strike, see `core.membrane.strike`.
      num_steps: T.
      dt: length of a step.
      speed: of the waves.

    Returns:
      What was heard.

    Raises:
      UserError: an unstable step, or an empty membrane.
    """
    start = membrane.strike(mask, width)
    series = np.asarray(
        membrane.vibrate(mask, start, num_steps=num_steps, dt=dt, speed=speed)
    )
    frequencies = membrane.fundamental(series[:, mask], dt)
    areas = np.asarray(membrane.area(frequencies, kappa, speed))
    return Heard(mask, series, frequencies, areas)


def sound(series: np.ndarray) -> bytes:
    """Returns a .wav file of a time series, one step a sample, dying away.

    Args:
      series: ``[T]``.

    Returns:
      The file: 16 bits, one channel, 8,000 samples a second.
    """
    fading = np.exp(-4 * np.arange(len(series)) / len(series))
    samples = series * fading
    samples = samples / (np.abs(samples).max() or 1.0)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_SOUND_RATE)
        file.writeframes((samples * 32_000).astype("<i2").tobytes())
    return buffer.getvalue()


def _chosen() -> tuple[np.ndarray, float, str]:
    """Returns the membrane that the flags ask for, its kappa and what to call it."""
    if MASK.value:
        if FLAGS["shape"].present or FLAGS["size"].present:
            raise UserError("--mask goes without --shape and --size")
        # Of all shapes the disc has the smallest area for a frequency.
        return read_mask(MASK.value), membrane.KAPPA["disc"], f"drum {MASK.value}"
    mask = membrane.mask(SHAPE.value, SIZE.value, CANVAS.value)
    return mask, membrane.KAPPA[SHAPE.value], f"{SHAPE.value} drum of size {SIZE.value}"


def _report(heard: Heard, name: str) -> list[str]:
    frequency, area = np.median(heard.frequencies), np.median(heard.areas)
    pixels = int(heard.membrane.sum())
    lines = [
        f"{name}: {pixels} pixels",
        f"  lowest frequency  {frequency:.6f} cycles per unit of time (median of pixels)",
    ]
    off = int(np.sum(np.abs(heard.areas / area - 1) > 0.01))
    spread = f"{np.min(heard.areas):.2f} to {np.max(heard.areas):.2f} over all pixels"
    if off:
        spread += f", of which {off} hear an overtone"
    if MASK.value:
        lines.append(f"  area at least     {area:.2f} ({spread}), as if it were a disc")
        return lines
    lines.append(f"  predicted area    {area:.2f} ({spread})")
    if SHAPE.value == "square":
        true = (SIZE.value + 1) ** 2
        lines.append(
            f"  true area         {true} = (size + 1)², out to the cells that are clamped; "
            f"off by {100 * (area / true - 1):+.3f} %"
        )
    else:
        lines.append(
            f"  pixels' area      {pixels}; the clamped cells are half a pixel further out"
        )
    return lines


def _ladder(settings: dict) -> tuple[list[float], list[float]]:
    """Returns pixels' and predicted areas of other sizes of the same shape."""
    true, predicted = [], []
    for size in _LADDERS[SHAPE.value]:
        canvas = max(CANVAS.value, 2 * size + 3)
        mask = membrane.mask(SHAPE.value, size, canvas)
        heard = hear(mask, membrane.KAPPA[SHAPE.value], **settings)
        square = SHAPE.value == "square"
        true.append(float((size + 1) ** 2 if square else mask.sum()))
        predicted.append(float(np.median(heard.areas)))
    return true, predicted


def main(argv: list[str]) -> int:
    """Runs the verb."""
    del argv
    drum_figures.check(OUT.value)
    if WAV.value and not WAV.value.endswith(".wav"):
        raise UserError(f"a sound is written to a file ending in .wav, not {WAV.value}")
    mask, kappa, name = _chosen()
    # The displacements, in JAX and on the host, and their transforms.
    files.check_memory(32 * STEPS.value * mask.size, f"--steps={STEPS.value}")
    settings: dict[str, Any] = {
        "width": STRIKE.value,
        "num_steps": STEPS.value,
        "dt": DT.value,
        "speed": SPEED.value,
    }
    heard = hear(mask, kappa, **settings)
    if not np.isfinite(heard.areas).all():
        raise UserError(
            f"no frequency can be read at {int(np.sum(~np.isfinite(heard.areas)))} of "
            f"{len(heard.areas)} pixels: give it more time with --steps, or strike it "
            "more broadly with --strike"
        )
    print("\n".join(_report(heard, name)))
    ladder = None if MASK.value else _ladder(settings)
    path = drum_figures.draw(
        OUT.value, *heard, dt=DT.value, ladder=ladder, shape=SHAPE.value, title=name
    )
    print(f"drawn: {path}")
    if WAV.value:
        row, column = drum_figures.listening_pixel(heard.membrane)
        steps = round(_SOUND_RATE * _SOUND_SECONDS)
        start = membrane.strike(mask, STRIKE.value)
        long = membrane.vibrate(
            mask, start, num_steps=steps, dt=DT.value, speed=SPEED.value
        )
        written = files.write_atomic(WAV.value, sound(np.asarray(long[:, row, column])))
        pitch = np.median(heard.frequencies) * DT.value * _SOUND_RATE
        print(f"sound: {written}, its pitch is {pitch:.1f} Hz")
    return 0
