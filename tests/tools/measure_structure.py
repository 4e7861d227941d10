"""Measures how the package is built: python tests/tools/measure_structure.py [FOLDER]

Prints for a checkout of the repository (this one if FOLDER is not given): files, lines of
code (without docstrings, comments and blank lines), the longest file, circles of imports
between files and between rooms, arrows that point upward, and how many existing files
the recipes of docs/extending.md touch (`tests/test_extending.py` counts them). Imports inside functions
and imports for types alone count too; `__main__.py` files are left out, they are shims.
"""

import ast
import io
import pathlib
import re
import sys
import tokenize
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[2]

# Floors from the top: a room imports from its own files and from floors below it. Rooms
# of commit ed7c89d stand among them, so that it can be measured too.
FLOORS = """
    nwm_jax
    train evaluate plot table report generate benchmark analyse drum published_figures
    shell benchmarks cli
    interop experiments
    runs drawing comparison
    tasks
    evaluation
    config presets
    training figures
    models
    modules haiku_cores
    core data waves native weights
    folders
    files
    errors _version
"""
_HEIGHT = {
    room: height
    for height, rooms in enumerate(FLOORS.strip().splitlines())
    for room in rooms.split()
}

Modules = dict[str, pathlib.Path]
Arrows = dict[str, set[str]]


def modules(root: pathlib.Path) -> Modules:
    """Returns the files of the package by module name, without `__main__.py`."""
    result = {}
    for path in sorted((root / "nwm_jax").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if path.name != "__main__.py":
            result[".".join(parts).removesuffix(".__init__")] = path
    return result


def imports(tree: ast.AST, known: Modules) -> Iterator[str]:
    """Yields every module that a file imports, ours and others'."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else node.module


def arrows(known: Modules) -> Arrows:
    """Returns for every module which other modules of the package it imports."""
    return {
        name: {
            target
            for target in imports(ast.parse(path.read_text()), known)
            if target in known and target != name
        }
        for name, path in known.items()
    }


def room(module: str) -> str:
    """Returns the first part of a module's name below the package."""
    return module.split(".")[1] if "." in module else module


def floor(module: str) -> int | None:
    """Returns the floor of a module's room, 0 at the top; None for unknown rooms."""
    return _HEIGHT.get(room(module))


def upward(result: Arrows) -> list[tuple[str, str]]:
    """Returns the arrows between rooms that do not point to a lower floor."""
    return [
        (module, target)
        for module, targets in sorted(result.items())
        for target in sorted(targets)
        if room(module) != room(target)
        and (None in (floor(module), floor(target)) or floor(module) >= floor(target))
    ]


def between_rooms(result: Arrows) -> Arrows:
    """Returns the arrows between rooms."""
    rooms: Arrows = {}
    for module, targets in result.items():
        others = {room(target) for target in targets} - {room(module)}
        rooms.setdefault(room(module), set()).update(others)
    return rooms


def circles(result: Arrows) -> list[list[str]]:
    """Returns the groups of more than one node that reach each other."""

    def reached(start: str) -> set[str]:
        seen, queue = set(), [start]
        while queue:
            new = result.get(queue.pop(), set()) - seen
            seen |= new
            queue += new
        return seen

    reach = {node: reached(node) for node in result}
    groups, done = [], set()
    for node in sorted(result):
        group = {n for n in reach[node] if node in reach.get(n, ())}
        if node not in done and len(group) > 1:
            groups.append(sorted(group))
            done |= group
    return groups


def lines_of_code(source: str) -> int:
    """Counts lines without blank ones, comments and docstrings."""
    ignored = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT}
    ignored |= {tokenize.DEDENT, tokenize.ENDMARKER}
    rows = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in ignored:
            rows.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, kinds) and ast.get_docstring(node) is not None:
            text = node.body[0]
            rows.difference_update(range(text.lineno, text.end_lineno + 1))
    return len(rows)


def recipes(root: pathlib.Path) -> dict[str, int]:
    """Returns the files that the recipes of docs/extending.md touch beside new ones."""
    page = root / "docs" / "extending.md"
    text = page.read_text() if page.exists() else ""
    headings = re.findall(r"### (.+): (\d) files? beside its own", text)
    rows = re.findall(r"^\| (a .+?) \| .+ \| (\d) \|$", text, re.MULTILINE)
    return {what: int(count) for what, count in headings + rows}


def main(root: pathlib.Path) -> None:
    """Prints the numbers of a checkout."""
    known = modules(root)
    result = arrows(known)
    sources = {name: path.read_text() for name, path in known.items()}
    length = {name: len(text.splitlines()) for name, text in sources.items()}
    longest = max(length, key=length.get)
    print(f"files of nwm_jax             {len(known)}")
    print(f"lines                        {sum(length.values()):,}")
    print(f"lines of code                {sum(map(lines_of_code, sources.values())):,}")
    print(f"longest file                 {longest}, {length[longest]} lines")
    for what, groups in (
        ("files", circles(result)),
        ("rooms", circles(between_rooms(result))),
    ):
        sizes = ", ".join(f"{len(group)} ({' '.join(group)})" for group in groups)
        print(f"circles of {what}             {sizes or 'none'}")
    print(
        f"arrows between rooms         {sum(map(len, between_rooms(result).values()))}"
    )
    bad = upward(result)
    print(f"upward arrows between files  {len(bad)}")
    for module, target in bad[:10]:
        print(f"    {module} imports {target}")
    for what, count in recipes(root).items():
        print(f"files to touch for {what}: {count}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
