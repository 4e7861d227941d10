"""What a user installs: metadata, a complete wheel, the commands of the README."""

import ast
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

import nwm_jax

ROOT = pathlib.Path(__file__).parents[1]
TEST_COMMAND = "pip install -e '.[test]' && pytest -q"


def test_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", nwm_jax.__version__)
    assert f"version: {nwm_jax.__version__}" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{nwm_jax.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_ci_runs_the_commands_of_the_readme():
    assert TEST_COMMAND in (ROOT / "README.md").read_text()
    script = (ROOT / ".ci" / "run").read_text()
    assert "pip install -q -e '.[test]'\n" in script
    assert "\npytest -q\n" in script
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)


def test_every_folder_is_a_package():
    for file in (ROOT / "nwm_jax").rglob("*.py"):
        assert (file.parent / "__init__.py").exists(), f"{file.parent} is no package"


def test_requirements_cover_the_imports():
    """Everything that the package imports is the standard library, itself or required."""
    setup = (ROOT / "setup.py").read_text()
    modules = {
        "absl": "absl-py",
        "google": "protobuf",
        "google_crc32c": "google-crc32c",
        "haiku": "dm-haiku",
        "PIL": "pillow",
        "orbax": "orbax",
    }
    modules |= {"sklearn": "scikit-learn", "ml_collections": "ml-collections"}
    for file in (ROOT / "nwm_jax").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported = [node.module]
            else:
                continue
            for name in imported:
                top = name.partition(".")[0]
                if top in sys.stdlib_module_names or top == "nwm_jax":
                    continue
                assert f'"{modules.get(top, top)}' in setup, f"{file} imports {top}"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder into which the wheel of this tree is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a copy: building leaves build/ behind
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "nwm_jax", source / "nwm_jax", ignore=ignore)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(
        [*pip, "wheel", *options, "-w", str(folder), str(source)],
        env=os.environ | {"GITHUB_REPOSITORY": "owner/nwm_jax"},
        check=True,
    )
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)],
        check=True,
    )
    return wheel, site


@pytest.mark.slow
def test_wheel_is_complete(site):
    wheel, _ = site
    packed = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "nwm_jax"
    ours = {
        str(file.relative_to(ROOT))
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert "nwm_jax/py.typed" in packed
    assert ours - packed == set()
    assert {name for name in packed if not name.startswith("nwm_jax")} == set()
    assert any(name.endswith("licenses/LICENSE") for name in packed)
    (metadata,) = [name for name in packed if name.endswith("dist-info/METADATA")]
    text = zipfile.ZipFile(wheel).read(metadata).decode()
    for name in ("Paper", "Source", "Issues", "Changelog"):
        assert f"\nProject-URL: {name}, https://" in text
    assert f"\nVersion: {nwm_jax.__version__}\n" in text


@pytest.mark.slow
def test_sdist_is_complete(tmp_path):
    source, folders = tmp_path / "source", ("nwm_jax", "configs", "examples", "launch")
    ignore = shutil.ignore_patterns("__pycache__")
    for folder in folders:
        shutil.copytree(ROOT / folder, source / folder, ignore=ignore)
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy(file, source)
    (source / "nwm_jax/native/_conv.so").touch()
    program = "from setuptools import build_meta; print(build_meta.build_sdist('..'))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=source,
        capture_output=True,
        text=True,
        check=True,
    )
    with tarfile.open(tmp_path / done.stdout.split()[-1]) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    for folder in folders:
        files = {
            str(file.relative_to(source))
            for file in (source / folder).rglob("*")
            if file.is_file() and file.suffix != ".so"
        }
        assert files - packed == set()
    assert {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"} <= packed
    assert "nwm_jax/native/_conv.so" not in packed


@pytest.mark.slow
def test_wheel_works_outside_the_checkout(site, tmp_path):
    _, folder = site

    def run(*command):
        return subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(folder)},
            capture_output=True,
            text=True,
            check=False,
        )

    program = (
        "import nwm_jax.experiments, nwm_jax.config.presets as p; print(nwm_jax.__file__); "
        "print(p.load('pendulum_nwm2d:smoke').model.grid)"
    )
    done = run("-c", program)
    assert done.stdout.split("\n")[:2] == [
        str(folder / "nwm_jax/__init__.py"),
        "(6, 6)",
    ]
    done = run(
        "-c",
        "import nwm_jax.experiments, nwm_jax.config.presets as p; p.load('configs/pendulum_nwm2d.py')",
    )
    assert "--config=pendulum_nwm2d is the definition of that name" in done.stderr
    workdir = tmp_path / "run"
    done = run(
        *("-m", "nwm_jax.train", "--config=pendulum_nwm2d:smoke"),
        f"--workdir={workdir}",
        *("--config.num_steps=4", f"--config.data.cache_dir={tmp_path / 'cache'}"),
    )
    assert done.returncode == 0, done.stderr
    assert (workdir / "eval.json").exists()
