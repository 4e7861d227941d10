"""Packaging of nwm_jax; the settings of the tools are in pyproject.toml."""

import importlib.util
import os
import pathlib
import re

import setuptools
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

HERE = pathlib.Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"$', (HERE / "nwm_jax/_version.py").read_text(), re.MULTILINE
)[1]

URLS = {"Paper": "https://proceedings.mlr.press/v202/keller23a.html"}
# A workflow knows the address of its repository; packages that it builds name it.
if repository := os.environ.get("GITHUB_REPOSITORY"):
    home = f"https://github.com/{repository}"
    URLS |= {"Source": home, "Issues": f"{home}/issues"}
    URLS |= {"Changelog": f"{home}/blob/main/CHANGELOG.md"}

spec = importlib.util.spec_from_file_location("build", HERE / "nwm_jax/native/build.py")
native = importlib.util.module_from_spec(spec)
spec.loader.exec_module(native)

# Convolutions for CPUs. Where they cannot be compiled the package works without them.
CONVOLUTIONS = setuptools.Extension(
    "nwm_jax.native._conv",
    [str(path.relative_to(HERE)) for path in native.sources() if path.suffix == ".cc"],
    depends=[str(path.relative_to(HERE)) for path in native.sources()],
    optional=True,
)


class BuildLibrary(build_ext):
    """A library that JAX opens, not a module of one version of Python."""

    def get_ext_filename(self, fullname):
        """Returns the library's path in the package."""
        return str(pathlib.Path(*fullname.split(".")[:-1], native.LIBRARY.name))

    def build_extension(self, ext):
        """Compiles it as ``python -m nwm_jax.native.build`` does."""
        library = pathlib.Path(self.get_ext_fullpath(ext.name))
        library.parent.mkdir(parents=True, exist_ok=True)
        try:
            native.build(library)
        except native.BuildError as error:
            raise CompileError(str(error)) from None


class Wheel(bdist_wheel):
    """A wheel for this platform and every Python."""

    def get_tag(self):
        """Returns python, ABI and platform."""
        return "py3", "none", super().get_tag()[2]


setuptools.setup(
    name="nwm_jax",
    version=VERSION,
    description="Neural Wave Machines and their relatives in JAX",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    author="The nwm_jax authors",
    project_urls=URLS,
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords="jax flax recurrent-neural-networks oscillators travelling-waves",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    packages=setuptools.find_packages(include=["nwm_jax", "nwm_jax.*"]),
    package_data={
        "nwm_jax": ["py.typed"],
        "nwm_jax.native": ["*.cc", "*.h", "xla/*", "xla/ffi/api/*.h"],
        "nwm_jax.figures": ["*.css", "*.html", "*.js"],
        "nwm_jax.weights": ["*.json", "*.safetensors"],
    },
    ext_modules=[CONVOLUTIONS],
    cmdclass={"build_ext": BuildLibrary, "bdist_wheel": Wheel},
    python_requires=">=3.11",
    # Floors, never caps: a cap makes the package uninstallable within a year.
    install_requires=[
        "absl-py",
        "diffrax",
        "dm-haiku>=0.0.17",
        "filelock>=4.3",  # locks on Linux, macOS and Windows; its fallback can be refused
        "flax>=0.12.7",
        "google-crc32c",
        "jax>=0.10",
        "matplotlib",
        "ml-collections",
        "numpy",
        "optax",
        "orbax-checkpoint",
        "pillow",
        "protobuf>=4.22",
        "rich",
        "safetensors",
        "scikit-learn",
        "scipy",
    ],
    extras_require={
        # setuptools: the tests build a wheel without asking a registry.
        "test": [
            *("hypothesis", "mypy", "pytest", "pytest-xdist", "pyyaml", "ruff"),
            "setuptools>=77",
        ],
        # The site: `mkdocs build --strict`; ipykernel runs the notebooks. MkDocs 2 has no
        # plugins.
        "docs": [
            *("ipykernel", "mkdocs>=1.6,<2", "mkdocs-jupyter", "mkdocs-material"),
            "mkdocstrings[python]",
        ],
        # MATLAB v7.3, TIFF, NWB and what neo reads; xarray's and neo's objects.
        "recordings": ["h5py", "neo", "pynwb", "tifffile", "xarray"],
        "tensorboard": ["tensorboardX"],
        "wandb": ["wandb"],
        "torch": ["torch"],  # to read weights from .pt files
        "cuda12": ["jax[cuda12]"],
        "cuda13": ["jax[cuda13]"],
    },
)
