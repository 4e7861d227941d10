"""The documentation is true: its links lead somewhere, its commands exist."""

import doctest
import importlib
import pathlib
import re
import shlex

import pytest

from nwm_jax import __main__ as verbs
from nwm_jax.config import grammar, presets

ROOT = pathlib.Path(__file__).parents[1]
PAGES = sorted(
    [
        *(*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")),
        *(*ROOT.glob("docs/results/**/*.md"), *ROOT.glob("docs/notebooks/*.py")),
    ]
)
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def page_id(page):
    return str(page.relative_to(ROOT))


def read(page):
    """The text of a page; of a notebook that of its cells of text."""
    text = page.read_text()
    if page.suffix == ".py":
        lines = re.findall(r"^# (?!%%)(.*)$", text, re.MULTILINE)
        text = "\n".join(lines)
    return text


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _CODE.sub("", read(page)), re.MULTILINE)
    words = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {text.replace(" ", "-") for text in words}


def commands():
    """Every command of this package that a page shows: (page, words)."""
    for page in PAGES:
        text = read(page).replace("\\\n", " ")  # continued lines
        for line in text.splitlines():
            for part in line.split("&&") if line.startswith("    ") else []:
                if part.strip().startswith("python -m nwm_jax.") and not re.search(
                    r"\$|\.\.\.", part
                ):
                    yield page, shlex.split(part, comments=True)[2:]


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links(page):
    for link in re.findall(r"\]\(((?!http)[^)\s]+)\)", _CODE.sub("", read(page))):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_the_index_answers_the_questions():
    index = (ROOT / "docs/README.md").read_text()
    words = ("layer", "movies", "cell", "relative_mse", "Python", "compiler", "GPUs")
    for word in (*words, "weights"):
        assert re.search(rf"^\| .*\b{word}\b.*\?.* \| \[", index, re.MULTILINE), word


def test_commands():
    shown = list(commands())
    assert len(shown) > 20
    for page, (module, *arguments) in shown:
        verb = importlib.import_module(
            {"nwm_jax.waves": "nwm_jax.analyse"}.get(module, module)
        )
        if module == "nwm_jax.benchmark":
            command, *arguments = arguments
            verb = importlib.import_module(f"nwm_jax.shell.benchmark_{command}")
        for argument in arguments:
            name, _, value = argument.removeprefix("--").partition("=")
            if not argument.startswith("--"):
                continue
            where = f"{page_id(page)}: {argument}"
            if name == "config":
                config = presets.load(value)
            elif name.startswith("config."):
                grammar.override(config, name.removeprefix("config."), value)
            else:
                flag = name if name in verb.FLAGS else name.removeprefix("no")
                assert flag in verb.FLAGS, where


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_are_indented(page):
    prose = _CODE.sub("", read(page)).replace("\\\n", " ")
    lost = re.findall(r"^(?:python -m|pip|pytest|git clone) .*$", prose, re.MULTILINE)
    assert not lost, "a command that begins a line is shown as a sentence"


def test_verbs_are_listed():
    for verb in verbs.VERBS:
        assert verbs.summary(verb).endswith((".", "..."))
        assert hasattr(importlib.import_module(f"nwm_jax.{verb}"), "main")


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_examples_in_docstrings():
    files = [
        path.relative_to(ROOT).with_suffix("")
        for path in sorted((ROOT / "nwm_jax").rglob("*.py"))
        if ">>> " in path.read_text()
    ]
    assert files
    for path in files:
        module = importlib.import_module(".".join(path.parts))
        failures, attempted = doctest.testmod(module)
        assert attempted and not failures, module.__name__
