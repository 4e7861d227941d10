"""The workflows of .github: well-formed, and true to the package's metadata."""

import pathlib
import re
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[1]
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
SETUP = (ROOT / "setup.py").read_text()
# Versions of actions that exist, as of November 2026; add one only after looking it up.
ACTIONS = {
    "actions/checkout@v4",
    "actions/deploy-pages@v4",
    "actions/download-artifact@v4",
    "actions/setup-python@v5",
    "actions/upload-artifact@v4",
    "actions/upload-pages-artifact@v3",
    "pypa/cibuildwheel@v3.4.1",
    "pypa/gh-action-pypi-publish@release/v1",
}


def read(name):
    return yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text())


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job.get("steps", [])]


def test_what_is_checked_for_whom():
    assert {file.stem for file in FILES} == {
        *("docs", "nightly", "release", "tests", "wheels")
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_workflow_is_well_formed(file):
    workflow = yaml.safe_load(file.read_text())
    assert workflow[True], "on: is what starts it"  # YAML 1.1 reads `on` as true
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        needed = job.get("needs", [])
        needed = {needed} if isinstance(needed, str) else set(needed)
        assert needed <= set(workflow["jobs"]), name
        if "uses" in job:
            assert (ROOT / job["uses"]).exists()
            called = yaml.safe_load((ROOT / job["uses"]).read_text())
            assert "workflow_call" in called[True]
        else:
            assert job["runs-on"] and job["steps"], name
    for step in steps(workflow):
        assert ("uses" in step) != ("run" in step)
        if "uses" in step:
            assert step["uses"] in ACTIONS
        else:
            script = re.sub(r"\$\{\{.*?\}\}", "value", step["run"])
            subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_extras_and_files_exist():
    for file in FILES:
        for step in steps(yaml.safe_load(file.read_text())):
            script = step.get("run", "")
            for extra in re.findall(r"'\.\[(\w+)\]'", script):
                assert f'"{extra}": [' in SETUP, extra
            for path in re.findall(r"\b(?:configs|nwm_jax)/[\w/]+\.py", script):
                assert (ROOT / path).exists(), path


def test_versions_are_those_of_the_metadata():
    matrix = read("tests")["jobs"]["fast"]["strategy"]["matrix"]
    classified = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', SETUP)
    assert matrix["python"] == classified
    assert f'python_requires=">={classified[0]}"' in SETUP
    oldest = {row["jax"] for row in matrix["include"]} - {"newest"}
    (floor,) = re.findall(r'"jax>=([\d.]+)"', SETUP)
    assert oldest == {f"{floor}.0"}
    assert any(row["os"].startswith("macos") for row in matrix["include"])
    assert any(row.get("compiler") == "none" for row in matrix["include"])
