"""The pages of the site that are made of something else, and links into the repository.

MkDocs calls these functions (mkdocs.yml): the front page is README.md of the repository,
the API reference has a page for each public module, the fields of configs are listed from
their definitions, the examples are shown.
"""

from __future__ import annotations

import ast
import logging
import pathlib
import posixpath
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

LOG = logging.getLogger("mkdocs.hooks")  # a warning fails a strict build
ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "nwm_jax"
# Rooms and modules with public functions; the others are how commands work.
PUBLIC = (
    *("core", "modules", "haiku_cores", "models", "data", "waves", "figures"),
    *("training.task", "training.registry", "training.evaluation"),
    *("runs.opened", "runs.pretrained", "experiments.forecasting"),
    *("config.presets", "interop", "errors"),
)
_LINK = re.compile(r"(\]\()([^)#\s]*)(#[^)\s]*)?(\))")
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Adds the generated pages to the navigation."""
    use = next(entry["Use"] for entry in config.nav if "Use" in entry)
    use[1:1] = [{"Fields of configs": "config-fields.md"}]
    use.append({"Examples": [f"examples/{path.stem}.md" for path in examples()]})
    rooms: dict[str, list[str]] = {}
    for module in public_modules():
        rooms.setdefault(module.split(".")[0], []).append(reference_page(module))
    config.nav.append(
        {"API": ["reference/index.md", *({r: p} for r, p in rooms.items())]}
    )
    config.nav.append({"Project": ["contributing.md", "changelog.md"]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages."""
    from mkdocs.structure.files import File

    for path, content in generated().items():
        if old := files.get_file_from_path(path):
            files.remove(old)
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Points the links of a page to the pages of the site."""
    here = page.file.src_uri
    if here.startswith(("reference/", "notebooks/")):
        return markdown
    parts = _CODE.split(markdown)
    blocks = _CODE.findall(markdown)
    parts = [_LINK.sub(lambda m: _rewrite(m, here), part) for part in parts]
    return "".join(a + b for a, b in zip(parts, [*blocks, ""], strict=True))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Points the links of a notebook, which MkDocs does not read, to pages."""
    if not page.file.src_uri.startswith("notebooks/"):
        return html

    def point(match: re.Match) -> str:
        target = posixpath.normpath(posixpath.join("notebooks", match[1]))
        file = files.get_file_from_path(target)
        if file is None:
            LOG.warning("%s links to %s, which is no page", page.file.src_uri, target)
            return match[0]
        return f'href="{file.url_relative_to(page.file)}{match[2] or ""}"'

    return re.sub(r'href="([\w./-]+\.md)(#[^"]*)?"', point, html)


def _rewrite(match: re.Match, here: str) -> str:
    """Returns a link as the site needs it; `here` is the page below docs/."""
    path, anchor = match[2], match[3] or ""
    if not path or ":" in path:
        return match[0]
    moved = {
        "README.md": "docs/README.md",
        "docs/README.md": "docs/README.md",
        "CONTRIBUTING.md": "docs/contributing.md",
        "CHANGELOG.md": "docs/changelog.md",
    }
    # Where the page stands in the repository, and what its link names there.
    target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(here), path))
    if here in ("contributing.md", "changelog.md"):
        target = posixpath.normpath(path)
    if target in moved:
        target = moved[target]
    elif re.match(r"examples/\w+\.py$", target):
        target = f"docs/{target.removesuffix('.py')}.md"
    elif (ROOT / target).is_dir():
        target = f"{target}/README.md"
    inside = posixpath.relpath(target, posixpath.join("docs", posixpath.dirname(here)))
    return f"{match[1]}{inside}{anchor}{match[4]}"


def generated() -> dict[str, str]:
    """Returns the generated pages by their paths below docs/."""
    pages = {
        "README.md": front_page(),
        "contributing.md": (ROOT / "CONTRIBUTING.md").read_text(),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(),
        "config-fields.md": fields_page(),
        "reference/index.md": reference_index(),
    }
    for folder in (ROOT / "docs/results").iterdir():
        if folder.is_dir() and not (folder / "README.md").exists():
            pages[f"results/{folder.name}/README.md"] = listing(folder)
    for path in examples():
        pages[f"examples/{path.stem}.md"] = example_page(path)
    for module in public_modules():
        pages[reference_page(module)] = f"# nwm_jax.{module}\n\n::: nwm_jax.{module}\n"
    return pages


def front_page() -> str:
    """Returns the README with the index of questions at its end."""
    readme = (ROOT / "README.md").read_text()
    # As if it stood in docs/, where links of the index do.
    readme = _LINK.sub(
        lambda m: (
            m[0] if ":" in m[2] or not m[2] else f"{m[1]}../{m[2]}{m[3] or ''}{m[4]}"
        ),
        readme,
    )
    index = (ROOT / "docs/README.md").read_text().replace("../README.md#", "#")
    return f"{readme}\n#{index}"


def examples() -> list[pathlib.Path]:
    """Returns the programs of examples/."""
    return sorted((ROOT / "examples").glob("*.py"))


def example_page(path: pathlib.Path) -> str:
    """Returns a page that shows a program."""
    source = path.read_text()
    return f"# examples/{path.name}\n\n```python\n{source}```\n"


def listing(folder: pathlib.Path) -> str:
    """Returns a page with links to the files of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in files]
    return "\n".join([f"# {folder.name}", "", *(f"- [{n}](<{n}>)" for n in names), ""])


def fields_page() -> str:
    """Returns the page of the fields that configs have, from their definitions."""
    import nwm_jax.experiments  # noqa: F401 (registers them)
    from nwm_jax.config import base
    from nwm_jax.config.fields import Field
    from nwm_jax.training import registry

    lines = [
        *("# Fields of configs", ""),
        (
            "Set any of them with `--config.field=value`, or in the argument of a config: "
            "`--config=pendulum_nwm2d:laptop,batch_size=16`. `--help` of `python -m "
            "nwm_jax.train` lists those of one config with their values."
        ),
        *("", "## Every config", "", *_table(base.Config().meanings())),
    ]
    for experiment in registry.experiments():
        known = experiment.configs().values()
        names = dict.fromkeys(preset for one in known for preset in one.presets())
        fields: dict[str, Field] = {}
        for one in known:
            fields = one.plain.meanings() | fields
        own = {n: f for n, f in fields.items() if base.Config().meanings().get(n) != f}
        lines += [
            *("", f"## {experiment.name}", ""),
            f"Tasks: {', '.join(f'`{task}`' for task in experiment.tasks)}.",
            *("", f"Presets: {', '.join(f'`{name}`' for name in names)}.", ""),
            *_table(own),
        ]
    return "\n".join(lines) + "\n"


def _table(fields: dict) -> Iterator[str]:
    yield "| field | meaning | values |"
    yield "|---|---|---|"
    for name, field in fields.items():
        values = ", ".join(f"`{choice}`" for choice in field.choices)
        if field.least is not None:
            values = f"at least {field.least}"
        if field.above is not None:
            values = f"above {field.above:g}"
        yield f"| `{name}` | {field.meaning} | {values} |"


def public_modules() -> list[str]:
    """Returns the modules of the reference, by their names below nwm_jax."""
    modules = []
    for name in PUBLIC:
        path = PACKAGE / name.replace(".", "/")
        files = (
            sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        )
        for file in files:
            module = file.relative_to(PACKAGE).with_suffix("")
            dotted = ".".join(module.parts).removesuffix(".__init__")
            if file.name != "__main__.py" and _defines(file):
                modules.append(dotted)
    return modules


def _defines(file: pathlib.Path) -> bool:
    """Whether a module has a public function or class of its own."""
    body = ast.parse(file.read_text()).body
    kinds = ast.FunctionDef, ast.ClassDef
    return any(isinstance(n, kinds) and not n.name.startswith("_") for n in body)


def reference_page(module: str) -> str:
    """Returns the path of a module's page."""
    return f"reference/{module}.md"


def reference_index() -> str:
    """Returns the page that lists the public names of the package and all modules."""
    import nwm_jax
    from nwm_jax import waves

    lines = ["# API reference", "", "## nwm_jax", ""]
    for name in nwm_jax.__all__:
        value = getattr(nwm_jax, name)
        home = getattr(value, "__module__", value.__name__)
        if home.startswith("nwm_jax") and not hasattr(value, "__path__"):
            lines.append(
                f"- [`nwm_jax.{name}`][{home}.{name}]: {_first(value.__doc__)}"
            )
    lines += ["", "## nwm_jax.waves", ""]
    for name in waves.__all__:
        value = getattr(waves, name)
        if home := getattr(value, "__module__", ""):
            lines.append(f"- [`waves.{name}`][{home}.{name}]: {_first(value.__doc__)}")
    lines += ["", "## Modules", ""]
    for module in public_modules():
        path = PACKAGE / module.replace(".", "/")
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        text = _first(ast.get_docstring(ast.parse(file.read_text())))
        lines.append(f"- [`nwm_jax.{module}`]({module}.md): {text}")
    return "\n".join(lines) + "\n"


def _first(documentation: str | None) -> str:
    """Returns the first sentence of a docstring, on one line."""
    paragraph = " ".join((documentation or "").strip().split("\n\n")[0].split())
    return re.split(r"(?<=[.:])\s(?=[A-Z])", paragraph)[0]
