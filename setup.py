"""Packaging of nwm_jax; the settings of the tools are in pyproject.toml."""

import pathlib
import re

import setuptools

try:
    import jax.ffi
except ImportError:  # the convolutions will be XLA's
    headers = None
else:
    headers = jax.ffi.include_dir()

HERE = pathlib.Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"$', (HERE / "nwm_jax/_version.py").read_text(), re.MULTILINE
)[1]

# Convolutions for CPUs. Where they cannot be compiled the package works without them.
CONVOLUTIONS = setuptools.Extension(
    "nwm_jax.native._conv",
    ["nwm_jax/native/conv.cc"],
    depends=[str(path) for path in pathlib.Path("nwm_jax/native").glob("*.h")],
    include_dirs=[headers],
    language="c++",
    extra_compile_args=["-std=c++17", "-O3", "-ffp-contract=fast"],
    optional=True,
)

setuptools.setup(
    name="nwm_jax",
    version=VERSION,
    description="Neural Wave Machines and their relatives in JAX",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    author="The nwm_jax authors",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords="jax flax recurrent-neural-networks oscillators travelling-waves",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
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
        "nwm_jax.native": ["*.cc", "*.h"],
        "nwm_jax.runs": ["*.css", "*.html", "*.js"],
    },
    ext_modules=[CONVOLUTIONS] if headers else [],
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
        "test": ["hypothesis", "pytest", "pytest-xdist", "ruff", "setuptools>=77"],
        "tensorboard": ["tensorboardX"],
        "wandb": ["wandb"],
        "torch": ["torch"],  # to read weights from .pt files
        "cuda12": ["jax[cuda12]"],
        "cuda13": ["jax[cuda13]"],
    },
)
