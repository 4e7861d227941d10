"""Neural Wave Machines and their relatives in JAX.

The layer, for your own model: `NWM2DCell`, `NWM1DCell`, `CoRNNCell` (Flax NNX). The
mathematics without a framework: `nwm_jax.core`. The benchmark: `python -m
nwm_jax.train`, `load`, `pretrained` and `export`. The analysis of waves: `nwm_jax.waves`.

What is listed here is imported when it is first used: `from nwm_jax import waves` loads
neither JAX nor Flax.
"""

import importlib
from typing import TYPE_CHECKING, Any

from nwm_jax._version import __version__ as __version__

if TYPE_CHECKING:  # for type checkers and editors
    from nwm_jax import core as core
    from nwm_jax import waves as waves
    from nwm_jax.errors import UserError as UserError
    from nwm_jax.models.forecaster import Forecaster as Forecaster
    from nwm_jax.modules.autoencoder import Decoder as Decoder
    from nwm_jax.modules.autoencoder import Encoder as Encoder
    from nwm_jax.modules.cells import CoRNNCell as CoRNNCell
    from nwm_jax.modules.cells import NWM1DCell as NWM1DCell
    from nwm_jax.modules.cells import NWM2DCell as NWM2DCell
    from nwm_jax.modules.gated import GRUCell as GRUCell
    from nwm_jax.runs.opened import export as export
    from nwm_jax.runs.opened import load as load
    from nwm_jax.runs.pretrained import pretrained as pretrained

# Public names and the modules that define them; empty for a room.
_HOMES = {
    "CoRNNCell": "modules.cells",
    "Decoder": "modules.autoencoder",
    "Encoder": "modules.autoencoder",
    "Forecaster": "models.forecaster",
    "GRUCell": "modules.gated",
    "NWM1DCell": "modules.cells",
    "NWM2DCell": "modules.cells",
    "UserError": "errors",
    "core": "",
    "export": "runs.opened",
    "load": "runs.opened",
    "pretrained": "runs.pretrained",
    "waves": "",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Imports a public name at its first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES[name]
    if home.startswith("runs"):  # a workdir names its experiment
        importlib.import_module(f"{__name__}.experiments")
    module = importlib.import_module(f"{__name__}.{home or name}")
    value = getattr(module, name) if home else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Lists the public names, imported or not."""
    return sorted({*globals(), *__all__})
