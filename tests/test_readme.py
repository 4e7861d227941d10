"""The README's example runs as it is printed."""

import pathlib
import re
import runpy

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_layer_runs(tmp_path):
    (example,) = re.findall(r"```python\n(import jax\n.*?)```", README, re.DOTALL)
    assert len(example.splitlines()) <= 10
    # The same program on a smaller field.
    example = example.replace("23, 23", "5, 6").replace("8, 100", "2, 7")
    (tmp_path / "example.py").write_text(example)
    names = runpy.run_path(str(tmp_path / "example.py"))
    assert names["positions"].shape == (2, 7, 5, 6, 1)


def test_pictures_and_files_that_it_names_exist():
    for path in re.findall(r"\]\(((?!http)[^)#]+)\)", README):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"--config=(configs/\w+\.py)", README):
        assert (ROOT / path).exists(), path


def test_nothing_is_left_to_fill_in():
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        assert "@@" not in path.read_text(), path
