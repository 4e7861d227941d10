"""The map of docs/architecture.md: rooms, floors, and what may import what."""

import ast
import pathlib
import subprocess
import sys

import pytest

import nwm_jax.experiments  # noqa: F401 (registers them)
from nwm_jax.training import registry

ROOT = pathlib.Path(__file__).parents[1]
# Floors from the top; a room imports from its own files and the floors below.
FLOORS = [
    ["nwm_jax"],
    ["train evaluate plot table report generate benchmark analyse drum"],
    ["shell"],
    ["interop", "experiments"],
    ["runs"],
    ["config"],
    ["training", "figures"],
    ["models"],
    ["modules", "haiku_cores"],
    ["core", "data", "waves", "native"],
    ["files"],
    ["errors", "_version"],
]
# Rooms that may import these of ours, and others' packages but the forbidden ones.
CORE_MAY = {"core", "errors"}
FORBIDDEN = {
    "core": {"flax", "optax", "scipy", "nwm_jax.files"},
    "waves": {"jax", "flax", "optax", "orbax", "matplotlib"},
    "data": {"flax", "optax", "orbax"},
}
FRAMEWORK = ("config", "training", "runs", "shell")
# Words that are also English or NumPy.
ORDINARY = {"copy", "adding"}


def _modules():
    for path in sorted((ROOT / "nwm_jax").rglob("*.py")):
        if path.name == "__main__.py":  # shims of verbs
            continue
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts).removesuffix(".__init__"), ast.parse(path.read_text())


MODULES = dict(_modules())


def _imports(tree):
    """Every module that a file imports, also inside functions and for types alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


ARROWS = {
    name: {target for target in _imports(tree) if target in MODULES and target != name}
    for name, tree in MODULES.items()
}


def _room(module):
    return (module.split(".") + ["nwm_jax"])[1] if "." in module else module


def _floor(module):
    room = _room(module)
    for height, rooms in enumerate(FLOORS):
        if room in " ".join(rooms).split():
            return height
    pytest.fail(f"{module} is in no room of docs/architecture.md")


def test_imports_point_downward():
    for module, targets in ARROWS.items():
        for target in targets:
            if _room(module) != _room(target):
                message = f"{module} imports {target}, which is not below it"
                assert _floor(module) < _floor(target), message


def test_no_circle_of_files():
    done, path = set(), []

    def visit(module):
        assert module not in path, " imports ".join([*path, module])
        if module not in done:
            path.append(module)
            for target in sorted(ARROWS[module]):
                visit(target)
            done.add(path.pop())

    for module in MODULES:
        visit(module)


@pytest.mark.parametrize("room", FORBIDDEN)
def test_what_a_room_may_not_import(room):
    for module, tree in MODULES.items():
        if _room(module) == room:
            for target in _imports(tree):
                bad = {target, target.split(".")[0]} & FORBIDDEN[room]
                assert not bad, f"{module} imports {target}"
            if room == "core":
                assert {_room(target) for target in ARROWS[module]} <= CORE_MAY, module


def _words(tree):
    """Identifiers and string constants; docstrings are free."""
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name"):
            if isinstance(word := getattr(node, field, None), str):
                yield word, node
        text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if text and id(node) not in docs:
            yield node.value, node


def test_the_framework_names_no_experiment_task_or_model():
    names = set(registry.task_names()) - ORDINARY
    for experiment in registry.experiments():
        names |= {experiment.name, *experiment.models()}
    for module, tree in MODULES.items():
        if _room(module) in FRAMEWORK:
            for word, node in _words(tree):
                line = getattr(node, "lineno", "?")
                assert word not in names, f"{module}, line {line} names {word!r}"


def test_no_file_is_longer_than_400_lines():
    for name in MODULES:
        path = ROOT / name.replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        assert len(path.read_text().splitlines()) <= 400, f"{path} is two ideas"


def _run(program):
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)


def _loaded(statement):
    return set(_run(f"import sys; {statement}; print(*sys.modules)").stdout.split())


def test_the_root_is_lazy():
    assert not _loaded("import nwm_jax") & {"jax", "numpy", "scipy", "flax"}
    assert not _loaded("from nwm_jax import waves") & {"jax", "flax", "matplotlib"}
    assert not _loaded("from nwm_jax.core import oscillator") & {"flax", "orbax"}
    assert "nwm_jax.experiments.topography" in _loaded("from nwm_jax import load")


def test_the_root_is_imported_at_once():
    program = (
        "import time; began = time.perf_counter(); import nwm_jax; "
        "print(time.perf_counter() - began)"
    )
    # The least of a few, because the machine may be busy.
    assert min(float(_run(program).stdout) for _ in range(3)) < 0.05
