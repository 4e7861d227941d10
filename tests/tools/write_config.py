"""Writes the values of a config into its file: python tests/tools/write_config.py FILE...

A file in configs/ shows every value of an experiment and where its presets differ. They
are those of the package: this program writes them below the file's docstring again, and
`tests/config/test_config_files.py` fails where they are not.
"""

import ast
import pathlib
import subprocess
import sys
from typing import Any

from ml_collections import ConfigDict

import nwm_jax.experiments  # noqa: F401 (registers them)
from nwm_jax.config import presets
from nwm_jax.config.grammar import flatten
from nwm_jax.training import registry

_TEMPLATE = '''"""{docstring}"""

from ml_collections import ConfigDict

from nwm_jax.config import grammar

# Where a preset differs from the values below.
PRESETS = {presets}
{short}

def get_config(argument: str = "") -> ConfigDict:
    """Returns the config; `argument` is ``preset,field=value,...``."""
    config = ConfigDict(
        {values}
    )
    return grammar.apply(config, argument, PRESETS{passed})
'''
_COMMENTS = {
    "steps_per_dispatch": "0: the backend chooses",
    "log_every": "steps, as all intervals",
    "conv": "implementation of the convolutions",
    "remat": "time steps between two kept states; 0: all are kept",
    "optimizer.warmup_steps": "the learning rate rises linearly",
    "optimizer.drop_every": 'of the schedule "step", a part of the run',
    "optimizer.clip": "global norm of the gradient; 0: off",
    "wandb": "name of a project; empty: off",
    "data.path": "your own clips or a published folder; empty: simulated",
    "data.cache_dir": "empty: ~/.cache/nwm_jax",
    "model.num_observed": "frames that are seen",
    "model.num_ic": "of these, read by the initial-condition network",
    "model.num_target": "frames of a training clip",
    "model.decode": "what the decoder sees: xv, or x alone",
    "eval.every": "steps; 0: only before the first and after the last",
    "eval.horizon": "frames that are scored",
}


# What stands first, in a config and in its groups.
_FIRST = (
    *("paper", "laptop", "smoke", "name", "task", "preset", "protocol", "seed"),
    *("batch_size", "num_steps", "optimizer", "data", "model", "eval"),
)


def write(path: pathlib.Path) -> None:
    """Writes the values of the config that is called as the file below its docstring."""
    name = path.stem
    docstring = ast.get_docstring(ast.parse(path.read_text()), clean=False)
    config = presets.load(name)
    plain = flatten(config)
    del plain["preset"], plain["protocol"]
    tables = {}
    for preset in _presets(name):
        fields = flatten(presets.load(f"{name}:{preset}"))
        tables[preset] = {k: fields[k] for k in plain if fields[k] != plain[k]}
    short = _short(config.task)
    path.write_text(
        _TEMPLATE.format(
            docstring=docstring,
            presets=_dict(tables, ""),
            short=f"# What an argument may say for short.\nSHORT = {short!r}\n"
            if short
            else "",
            values=_dict(config.to_dict(), ""),
            passed=", SHORT" if short else "",
        )
    )
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", path], check=True)


def _presets(name: str) -> list[str]:
    module = presets.definitions()[name]
    configs = sys.modules[getattr(module, "func", module).__module__]
    return list(configs.PRESETS)


def _short(task: str) -> dict[str, str]:
    place = registry.find(task).configs().popitem()[1]
    configs = sys.modules[getattr(place, "func", place).__module__]
    return getattr(configs, "SHORT", {})


def _dict(values: dict[str, Any] | ConfigDict, prefix: str) -> str:
    """A dictionary as source, an entry a line."""
    lines = ["{"]
    for key in sorted(values, key=_rank):
        value = values[key]
        if isinstance(value, dict):
            text = _dict(value, f"{prefix}{key}.")
        elif type(value) is int:
            text = f"{value:_}"
        else:
            text = repr(value).replace("'", '"')
        comment = _COMMENTS.get(f"{prefix}{key}")
        note = f"  # {comment}" if comment and not isinstance(value, dict) else ""
        lines.append(f'"{key}": {text},{note}')
    return "\n".join([*lines, "}"])


def _rank(key: str) -> tuple[int, str]:
    head = key.partition(".")[0]
    return (_FIRST.index(head) if head in _FIRST else len(_FIRST)), key


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        write(pathlib.Path(argument))
