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

import nwm_jax.experiments  # noqa: F401 (registers them)
from nwm_jax.config import presets
from nwm_jax.config.fields import Field
from nwm_jax.config.grammar import flatten

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
    del plain["preset"]
    tables = {}
    known = presets.definitions()[name]
    meanings = known.plain.meanings()
    for preset in known.presets():
        fields = flatten(presets.load(f"{name}:{preset}"))
        tables[preset] = {
            k: fields[k] for k in plain if fields[k] not in (plain[k], preset)
        }
    short = known.short
    path.write_text(
        _TEMPLATE.format(
            docstring=docstring,
            presets=_dict(tables, {}),
            short=f"# What an argument may say for short.\nSHORT = {dict(short)!r}\n"
            if short
            else "",
            values=_dict(config.to_dict(), meanings),
            passed=", SHORT" if short else "",
        )
    )
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", path], check=True)


def _dict(values: dict[str, Any], meanings: dict[str, Field], prefix: str = "") -> str:
    """A dictionary as source, an entry a line."""
    lines = ["{"]
    for key in sorted(values, key=_rank):
        value = values[key]
        if isinstance(value, dict):
            text = _dict(value, meanings, f"{prefix}{key}.")
        elif type(value) is int:
            text = f"{value:_}"
        else:
            text = repr(value).replace("'", '"')
        field = meanings.get(f"{prefix}{key}")
        note = f"  # {field.meaning}" if field else ""
        lines.append(f'"{key}": {text},{note}')
    return "\n".join([*lines, "}"])


def _rank(key: str) -> tuple[int, str]:
    head = key.partition(".")[0]
    return (_FIRST.index(head) if head in _FIRST else len(_FIRST)), key


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        write(pathlib.Path(argument))
