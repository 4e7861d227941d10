"""Pictures and animations of forecasts, errors and waves: arrays in, one file out.

Every function takes arrays and a path, writes the file atomically and returns its path.
Nothing touches pyplot's global state, so they work without a display and from threads.
Array index k of a clip is its frame `first_frame + k`; a frame is observed when its
number is below `num_observed`.
"""

from nwm_jax.figures import animation, curves, strip, style, waves

__all__ = ["animation", "curves", "strip", "style", "waves"]
