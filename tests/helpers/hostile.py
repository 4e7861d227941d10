"""Runs hostile cases in forked children, and what each of them must keep to."""

import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Sequence

from tests.helpers import forked

LONGEST = 300  # characters of a message


def answers(
    folder: pathlib.Path,
    cases: Sequence[tuple[str, Sequence[str]]],
    seconds: float = forked.SECONDS,
    **environment: str,
) -> list[dict]:
    """Runs cases (verb, arguments), see `helpers/forked.py`; their results in order."""
    lines = [
        json.dumps(case | {"id": number, "seconds": seconds})
        for number, case in enumerate(
            {"verb": verb, "arguments": list(arguments)} for verb, arguments in cases
        )
    ]
    settings = {"JAX_PLATFORMS": "cpu", "PYTHONDONTWRITEBYTECODE": "1"} | environment
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.forked", str(folder / "children")],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[2],
        env=os.environ | settings,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    value = {row["id"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert not list(folder.rglob("executed"))
    return [value[number] for number in range(len(cases))]


def within_limits(result: dict) -> None:
    """No hang, no memory without end, no traceback."""
    assert not result["late"], f"hangs: {result['seconds']} s"
    assert result["bytes"] < forked.BYTES
    assert "Traceback" not in result["err"], result["err"]


def one_line(result: dict, *parts: str) -> None:
    """Exit code 2, and a last line that a person can read, with all of `parts` in it."""
    assert result["code"] == 2, (result["code"], result["err"][-500:])
    last = result["err"].splitlines()[-1]
    assert last.startswith("error: ") and len(last) <= LONGEST + len("error: "), last
    assert last.isprintable(), last
    assert not re.search(r"<class |<[\w.]+ object at|Error\(|array\(", last), last
    for part in parts:
        assert part in last, last
