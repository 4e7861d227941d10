"""Valid prediction time on long trajectories, which a run was not trained on.

Of a few datasets the suite has test sets of about a thousand frames
(`<name>_long_trajectory`): a forecast that holds to the end of an ordinary clip is only
shown there how long it holds.
"""

import os
from typing import Any

import numpy as np

from nwm_jax.data import Source, open_source, suite
from nwm_jax.data.folder import expand
from nwm_jax.errors import UserError
from nwm_jax.experiments.forecasting.vpt import ValidPredictionTime
from nwm_jax.experiments.forecasting.windows import Windows

#: Frames of trajectories that are simulated.
NUM_FRAMES = 1024
_LONG = "_long_trajectory"


class LongPredictionTime(ValidPredictionTime):
    """Valid prediction times on other test trajectories than the run's own.

    Everything else is the run's: the mean image, the number of trajectories.

    Args:
      windows: the run's.
      data: a folder of records with a test split, or the name of a dataset: its
        `_long_trajectory` set where it has one.

    Raises:
      UserError: no such data, images of another shape, or clips that are too short.
    """

    part = "vpt_long"

    def __init__(self, windows: Windows, data: str) -> None:
        source, self._name = _open(windows, data)
        if source.image_shape != windows.source.image_shape:
            raise UserError(
                f"{data} has images {source.image_shape}, the run's data "
                f"{windows.source.image_shape}"
            )
        if source.num_frames < windows.window:
            raise UserError(
                f"{data} has clips of {source.num_frames} frames; the run's evaluation "
                f"windows alone have {windows.window}"
            )
        super().__init__(windows, source)

    def summarise(self, scores: dict[str, np.ndarray]) -> dict[str, Any]:
        """See `ValidPredictionTime.summarise`.

        Returns:
          {"vpt_long": ...} with "data": which; "num_frames" of its clips; and all that
          there is in "vpt".
        """
        header = {"data": self._name, "num_frames": self.length}
        return {"vpt_long": header | super().summarise(scores)["vpt"]}


def _open(windows: Windows, data: str) -> tuple[Source, str]:
    """Returns the data, and what it is called."""
    folder = expand(data)
    if os.path.isdir(folder):
        from nwm_jax.data.records import RecordsSource  # loads protobuf and Pillow

        return RecordsSource(folder), str(folder.resolve())
    try:
        name = suite.get(data).name
    except UserError as error:
        raise UserError(f"--data={data} is no folder, and: {error}") from None
    if name + _LONG in suite.DATASETS:
        name += _LONG
    config = windows.config
    source = open_source(
        name=name,
        cache_dir=config.data.cache_dir,
        num_train=1,
        num_test=config.eval.num_vpt,
        num_frames=NUM_FRAMES,
        dt=config.data.dt,
        seed=config.data.seed,
    )
    if check := getattr(source, "check_size", None):
        check()
    return source, name
