"""The pages of the documentation site that are generated, without MkDocs."""

import importlib.util
import pathlib

import pytest
import yaml

import nwm_jax.experiments
from nwm_jax import waves
from nwm_jax.config import presets

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def hooks():
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs/hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(hooks):
    return hooks.generated()


def leaves(entries):
    for entry in entries:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from leaves(value) if isinstance(value, list) else (value,)


def test_the_navigation_leads_to_pages(pages):
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    for path in leaves(config["nav"]):
        assert path in pages or (ROOT / "docs" / path).exists(), path
    shown = set(leaves(config["nav"]))
    for page in (*ROOT.glob("docs/*.md"), *ROOT.glob("docs/notebooks/*.py")):
        path = page.relative_to(ROOT / "docs").as_posix()
        assert path in shown, f"{path} is not in mkdocs.yml"


def test_every_public_name_is_in_the_reference(pages):
    index = pages["reference/index.md"]
    for name in set(nwm_jax.__all__) - {"core", "waves"}:
        assert f"[`nwm_jax.{name}`]" in index, name
    for name in set(waves.__all__) - {"ORIGINAL_BAND"}:
        assert f"[`waves.{name}`]" in index, name


def test_the_reference_covers_the_public_rooms(hooks, pages):
    modules = hooks.public_modules()
    assert {"core.oscillator", "modules.cells", "haiku_cores", "waves.phase"} <= {
        *modules
    }
    for module in modules:
        assert f"::: nwm_jax.{module}" in pages[f"reference/{module}.md"]


def test_every_field_is_listed(pages):
    known = presets.definitions().values()
    for field in {field for one in known for field in one.plain.meanings()}:
        assert f"| `{field}` |" in pages["config-fields.md"]


def test_links_into_the_repository_lead_to_pages(hooks):
    cases = {
        "[a](../examples/own_cell.py)": "[a](examples/own_cell.md)",
        "[a](results/waves)": "[a](results/waves/README.md)",
        "[a](../README.md#the-layer)": "[a](README.md#the-layer)",
        "[a](https://x.org/y.py)": "[a](https://x.org/y.py)",
    }
    for link, expected in cases.items():
        assert hooks._LINK.sub(lambda m: hooks._rewrite(m, "data.md"), link) == expected
