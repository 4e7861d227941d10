"""Files from public mirrors: one after the other, checked, kept."""

import gzip
import hashlib
import http.client
import pathlib
import time
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable
from typing import NamedTuple

from nwm_jax.errors import UserError, reason
from nwm_jax.files import write_atomic

ROUNDS = 3
TIMEOUT_SECONDS = 30.0
PAUSE_SECONDS = 2.0
_BLOCK = 1 << 16


class Remote(NamedTuple):
    """A file on the net, compressed by gzip.

    Attributes:
      urls: where it is, the first choice first.
      size: bytes when unpacked.
      sha256: of the unpacked bytes.
    """

    urls: tuple[str, ...]
    size: int
    sha256: str


def fetch(
    path: pathlib.Path,
    remote: Remote,
    progress: Callable[[int, int], None] | None = None,
) -> pathlib.Path:
    """Downloads a file, unless it is there already, unpacked or as ``<path>.gz``.

    Every mirror is asked in turn, three times round; what does not have the right
    SHA-256 is thrown away.

    Args:
      path: where the unpacked file goes.
      remote: what to download.
      progress: called as progress(done, total), in unpacked bytes.

    Returns:
      The file: `path`, or the packed one that was there.

    Raises:
      UserError: no mirror served the file; the message says where to put it by hand.
    """
    for kept in (path, path.with_name(f"{path.name}.gz")):
        if kept.is_file() and _digest(_unpack(kept, remote.size)) == remote.sha256:
            return kept
    problems: dict[str, str] = {}
    for turn in range(ROUNDS):
        if turn:
            time.sleep(PAUSE_SECONDS * turn)
        for url in remote.urls:
            try:
                data = _download(url, remote.size, progress)
            except (OSError, EOFError, zlib.error, http.client.HTTPException) as error:
                cause = getattr(error, "reason", error)
                problems[url] = cause if isinstance(cause, str) else reason(cause)
                continue
            if _digest(data) == remote.sha256:
                return write_atomic(path, data)
            problems[url] = "its content is not the expected one"
    hosts: dict[str, list[str]] = {}  # by what went wrong there
    for url, problem in problems.items():
        hosts.setdefault(problem, []).append(str(urllib.parse.urlsplit(url).hostname))
    text = "; ".join(f"{', '.join(names)}: {why}" for why, names in hosts.items())
    raise UserError(
        f"cannot download {path.name} ({text}): put it or {path.name}.gz into "
        f"{path.parent}, or name your folder with --config.data.path=..."
    )


def _unpack(path: pathlib.Path, size: int) -> bytes:
    """The content of a kept file, at most one byte more than there should be."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return file.read(size + 1)
    except (OSError, EOFError, zlib.error):
        return b""


def _download(
    url: str, size: int, progress: Callable[[int, int], None] | None
) -> bytes:
    """The unpacked bytes of a URL, at most one more than there should be."""
    parts, done = [], 0
    with (
        urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as packed,
        gzip.open(packed) as file,
    ):
        while done <= size and (block := file.read(min(_BLOCK, size + 1 - done))):
            parts.append(block)
            done += len(block)
            if progress:
                progress(min(done, size), size)
    return b"".join(parts)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
