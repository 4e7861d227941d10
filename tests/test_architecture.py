"""The map of docs/architecture.md: rooms, floors, and what may import what."""

import ast
import subprocess
import sys

import pytest

import nwm_jax.experiments  # noqa: F401 (registers them)
from nwm_jax.training import registry
from tests.tools import measure_structure as structure

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


MODULES = structure.modules(structure.ROOT)
ARROWS = structure.arrows(MODULES)


def _trees(*rooms):
    """The files of some rooms, parsed."""
    for module, path in MODULES.items():
        if structure.room(module) in rooms:
            yield module, ast.parse(path.read_text())


def test_imports_point_downward():
    for module, target in structure.upward(ARROWS):
        pytest.fail(f"{module} imports {target}, which is not on a lower floor")


def test_no_circle_of_files_or_rooms():
    assert not structure.circles(ARROWS)
    assert not structure.circles(structure.between_rooms(ARROWS))


def test_every_file_has_a_room():
    for module in MODULES:
        assert structure.floor(module) is not None, (
            f"{module}: see docs/architecture.md"
        )


@pytest.mark.parametrize("room", FORBIDDEN)
def test_what_a_room_may_not_import(room):
    for module, tree in _trees(room):
        for target in structure.imports(tree, MODULES):
            bad = {target, target.split(".")[0]} & FORBIDDEN[room]
            assert not bad, f"{module} imports {target}"
        if room == "core":
            assert set(map(structure.room, ARROWS[module])) <= CORE_MAY, module


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
        known = experiment.configs().values()
        names |= {experiment.name, *(one.plain.model.name for one in known)}
    for module, tree in _trees(*FRAMEWORK):
        for word, node in _words(tree):
            line = getattr(node, "lineno", "?")
            assert word not in names, f"{module}, line {line} names {word!r}"


def test_no_file_is_longer_than_400_lines():
    for path in MODULES.values():
        assert len(path.read_text().splitlines()) <= 400, f"{path} is two ideas"


def _run(program):
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, cwd=structure.ROOT, capture_output=True, text=True, check=True
    )


def _loaded(statement):
    return set(_run(f"import sys; {statement}; print(*sys.modules)").stdout.split())


def test_the_root_is_lazy():
    assert not _loaded("import nwm_jax") & {"jax", "numpy", "scipy", "flax"}
    assert not _loaded("from nwm_jax import waves") & {"jax", "flax", "matplotlib"}
    assert not _loaded("from nwm_jax.core import oscillator") & {"flax", "orbax"}
    assert "nwm_jax.experiments.topography" in _loaded("from nwm_jax import load")


def test_the_root_is_imported_at_once():
    program = (
        "import time; began = time.process_time(); import nwm_jax; "
        "print(time.process_time() - began)"
    )
    # The least of a few, because the machine may be busy.
    assert min(float(_run(program).stdout) for _ in range(3)) < 0.05
