"""Lists the commands of the package: `python -m nwm_jax`."""

import ast
import pathlib

VERBS = (
    "train",
    "evaluate",
    "plot",
    "table",
    "report",
    "generate",
    "analyse",
    "drum",
    "benchmark",
)


def summary(verb: str) -> str:
    """Returns the first line of a verb's documentation, without importing it."""
    source = (pathlib.Path(__file__).parent / f"{verb}.py").read_text()
    documentation = ast.get_docstring(ast.parse(source))
    assert documentation is not None  # every verb has some
    return documentation.splitlines()[0]


if __name__ == "__main__":
    print("python -m nwm_jax.VERB; --help explains the flags of a verb\n")
    for verb in VERBS:
        print(f"  {verb:10} {summary(verb)}")
