"""MNIST and CIFAR-10 on disk: read, downloaded, damaged, malicious."""

import gzip
import hashlib
import io
import os
import pickle
import socket
import tarfile
import urllib.error

import numpy as np
import pytest

from nwm_jax.data.sequences import cifar, download, mnist
from nwm_jax.errors import UserError


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return head + array.astype(np.uint8).tobytes()


def mnist_files():
    rng = np.random.default_rng(0)
    return {
        "train-images-idx3-ubyte": rng.integers(256, size=(5, 4, 3)),
        "train-labels-idx1-ubyte": rng.integers(10, size=5),
        "t10k-images-idx3-ubyte": rng.integers(256, size=(2, 4, 3)),
        "t10k-labels-idx1-ubyte": rng.integers(10, size=2),
    }


def test_idx_files_packed_or_not(tmp_path):
    files = mnist_files()
    for number, (name, array) in enumerate(files.items()):
        if number % 2:
            (tmp_path / name.replace("-idx", ".idx")).write_bytes(idx(array))
        else:
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
    for result, array in zip(mnist.read(tmp_path), files.values(), strict=False):
        np.testing.assert_array_equal(result, array)
        assert result.dtype == np.uint8
    (tmp_path / "t10k-labels.idx1-ubyte").unlink()
    with pytest.raises(
        UserError, match=r"has no file t10k-labels.* put the four files"
    ):
        mnist.read(tmp_path)
    (tmp_path / "t10k-labels.idx1-ubyte").write_bytes(idx(np.zeros(3)))
    with pytest.raises(UserError, match=r"images \(2, 4, 3\) and labels \(3,\)"):
        mnist.read(tmp_path)


def test_damaged_idx_files_are_refused(tmp_path):
    sound = idx(np.zeros((2, 3)))
    for content, message in [
        (b"", "not an IDX file"),
        (b"\0\0\x0d\1" + sound[4:], "not an IDX file of bytes"),
        (sound[:6], "damaged"),
        (sound[:-1], "not as long"),
        (sound + b"\0", "not as long"),
    ]:
        path = tmp_path / "file"
        path.write_bytes(content)
        with pytest.raises(UserError, match=message):
            mnist.read_idx(path)
    for content in (b"no gzip", gzip.compress(sound)[:-9]):
        path = tmp_path / "file.gz"
        path.write_bytes(content)
        with pytest.raises(UserError, match="damaged"):
            mnist.read_idx(path)


class Mirrors:
    """Answers to URLs: bytes, or an error; counts how often each was asked."""

    def __init__(self, monkeypatch, answers):
        self.answers, self.asked = answers, []
        monkeypatch.setattr(download.urllib.request, "urlopen", self.open)
        monkeypatch.setattr(download.time, "sleep", lambda seconds: None)

    def open(self, url, timeout):
        self.asked.append(url)
        answer = self.answers[url].pop(0)
        if isinstance(answer, Exception):
            raise answer
        return io.BytesIO(answer)


def test_downloads_try_again_and_are_checked(tmp_path, monkeypatch):
    content = os.urandom(100_000)
    good = gzip.compress(content)
    away = urllib.error.URLError("no route")
    mirrors = Mirrors(
        monkeypatch,
        {"a": [away, good[:-5], away], "b": [gzip.compress(content + b"0"), good]},
    )
    digest = hashlib.sha256(content).hexdigest()
    remote = download.Remote(("a", "b"), len(content), digest)
    seen = []
    path = tmp_path / "deep" / "file"
    download.fetch(path, remote, lambda *numbers: seen.append(numbers))
    assert path.read_bytes() == content
    assert mirrors.asked == ["a", "b", "a", "b"]
    assert seen[-1] == (100_000, 100_000)
    download.fetch(path, remote)
    assert len(mirrors.asked) == 4
    # A damaged file is replaced.
    path.write_bytes(content[1:])
    mirrors.answers["a"] = [good]
    download.fetch(path, remote)
    assert path.read_bytes() == content


def test_a_failed_download_says_what_to_do(tmp_path, monkeypatch):
    unknown_host = urllib.error.URLError(socket.gaierror(-2, "unknown host"))
    wrong = gzip.compress(b"something else")
    urls = tuple(f"https://{name}.org/{'deep/' * 20}file.gz" for name in "ab")
    Mirrors(monkeypatch, {urls[0]: [unknown_host] * 3, urls[1]: [wrong] * 3})
    with pytest.raises(UserError) as caught:
        download.fetch(tmp_path / "file", download.Remote(urls, 10, "0" * 64))
    message = str(caught.value)
    for part in (
        "a.org: unknown host",
        "b.org: its content is not the expected one",
        f"file.gz into {tmp_path}",
        "--config.data.path=",
    ):
        assert part in message
    assert " ... " not in message
    assert not list(tmp_path.iterdir())


def test_a_packed_file_that_was_put_there_by_hand_is_taken(tmp_path, monkeypatch):
    content = os.urandom(1_000)
    mirrors = Mirrors(monkeypatch, {"a": [gzip.compress(content)] * 2})
    digest = hashlib.sha256(content).hexdigest()
    remote = download.Remote(("a",), len(content), digest)
    packed = tmp_path / "file.gz"
    packed.write_bytes(gzip.compress(content))
    assert download.fetch(tmp_path / "file", remote) == packed
    assert not mirrors.asked
    for other in (b"damaged", gzip.compress(content)[:-9], gzip.compress(b"other")):
        packed.write_bytes(other)
        assert download.fetch(tmp_path / "file", remote) == tmp_path / "file"
        (tmp_path / "file").unlink()
        mirrors.answers["a"].append(gzip.compress(content))
    assert len(mirrors.asked) == 3


def test_mnist_without_a_path_is_downloaded_once(tmp_path, monkeypatch):
    contents = {name: idx(array) for name, array in mnist_files().items()}
    answers = {
        f"{mnist.MIRRORS[0]}/{name}.gz": [gzip.compress(content)]
        for name, content in contents.items()
    }
    Mirrors(monkeypatch, answers)
    known = {
        name: (len(content), hashlib.sha256(content).hexdigest())
        for name, content in contents.items()
    }
    monkeypatch.setattr(mnist, "FILES", known)
    for _ in range(2):  # the second time from the cache
        result = mnist.read(cache_dir=tmp_path)
        np.testing.assert_array_equal(
            result.train, mnist_files()["train-images-idx3-ubyte"]
        )
    assert sorted(p.name for p in (tmp_path / "mnist").iterdir()) == sorted(contents)


def batches():
    """Six batches of two images: labels, and pixels as CIFAR-10 stores them."""
    rng = np.random.default_rng(1)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    return {
        name: (
            rng.integers(10, size=2).astype(np.uint8),
            rng.integers(256, size=(2, 3072)).astype(np.uint8),
        )
        for name in names
    }


def binary_files():
    return {
        f"{name}.bin": np.column_stack(parts).tobytes()
        for name, parts in batches().items()
    }


def python_files(protocol=2):
    return {
        name: pickle.dumps(
            {
                b"batch_label": name.encode(),
                b"labels": labels.tolist(),
                b"data": pixels,
                b"filenames": [b"a.png", b"b.png"],
            },
            protocol=protocol,
        )
        for name, (labels, pixels) in batches().items()
    }


def archive(path, files, folder):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def check_cifar(result):
    expected = batches()
    labels = np.concatenate([expected[f"data_batch_{i}"][0] for i in range(1, 6)])
    np.testing.assert_array_equal(result.train_labels, labels)
    assert result.train.shape == (10, 32, 32, 3) and result.test.shape == (2, 32, 32, 3)
    pixels = expected["data_batch_3"][1][1]
    # Channel by channel, row by row.
    assert result.train[5, 7, 9, 2] == pixels[2 * 1024 + 7 * 32 + 9]
    np.testing.assert_array_equal(
        result.test[0, :, :, 1].ravel(), expected["test_batch"][1][0, 1024:2048]
    )


def test_cifar_from_binary_archive_and_folders(tmp_path):
    name = "cifar-10-batches-bin"
    check_cifar(cifar.read(archive(tmp_path / "cifar.tar.gz", binary_files(), name)))
    folder = tmp_path / "above" / name
    folder.mkdir(parents=True)
    for file, content in binary_files().items():
        (folder / file).write_bytes(content)
    check_cifar(cifar.read(folder))
    check_cifar(cifar.read(tmp_path / "above"))
    (folder / "data_batch_4.bin").unlink()
    with pytest.raises(UserError, match=r"no data_batch_4.bin"):
        cifar.read(folder)


@pytest.mark.parametrize("protocol", [1, 2, 4])
def test_cifar_from_the_python_archive(tmp_path, protocol):
    files = python_files(protocol)
    check_cifar(
        cifar.read(archive(tmp_path / "c.tar.gz", files, "cifar-10-batches-py"))
    )


def test_cifar_as_python_2_pickled_it(tmp_path):
    """The published files name numpy.core and hold their bytes as Python 2's str."""
    files = {}
    for name, (labels, pixels) in batches().items():
        numbers = b"".join(b"K%c" % label for label in labels)
        length = len(pixels.tobytes()).to_bytes(4, "little")
        files[name] = (
            b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\n"
            b"(cnumpy\nndarray\n(K\x00tU\x01btR"
            b"(K\x01(K\x02M\x00\x0ctcnumpy\ndtype\n(U\x02u1K\x00K\x01tR"
            b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
            + length
            + pixels.tobytes()
            + b"tbU\x06labels]("
            + numbers
            + b"eu."
        )
    check_cifar(
        cifar.read(archive(tmp_path / "c.tar.gz", files, "cifar-10-batches-py"))
    )


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("executed",))


def array_state(code, shape, data):
    """A pickle of one array, with any statement about itself."""

    class Claims:
        def __reduce__(self):
            rebuild, arguments, state = np.zeros(1, code).__reduce__()
            return rebuild, arguments, (1, shape, state[2], False, data)

    return pickle.dumps({b"data": Claims(), b"labels": [1]}, protocol=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({b"data": Evil()}), "it names posix.mkdir"),
        (pickle.dumps(np.random.default_rng()), "it names numpy"),
        (b"", "not a sound pickle"),
        (b"\x80\x02}q", "not a sound pickle"),
        (pickle.dumps([1, 2]), "not a batch"),
        (pickle.dumps({b"data": b"1", b"labels": [1]}), "no pixels and labels"),
        (array_state("u1", (1, 3072), b"short"), "another size than its shape"),
        (array_state("u1", (1, -3072), b"x"), "another size"),
        (array_state("u1", (1, 4), b"1234"), "no pixels and labels"),
        (array_state("f8", (1, 1), bytes(8)), "not of unsigned bytes"),
        (array_state("O", (1, 1), [Evil()]), "it names"),
        (
            pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}),
            "class 10; CIFAR-10 has 0 to 9",
        ),
        (
            pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": ["a"]}),
            "labels that are no classes",
        ),
    ],
)
def test_pickles_of_anything_else_are_refused(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    files = {name: content for name in python_files()}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=message):
        cifar.read(tmp_path)
    assert not (tmp_path / "executed").exists()


def test_wrong_paths_of_cifar(tmp_path):
    with pytest.raises(UserError, match=r"get https://.* --config.data.path="):
        cifar.read("")
    with pytest.raises(UserError, match=r"has no test_batch.bin"):
        cifar.read(tmp_path)
    (tmp_path / "no.tar.gz").write_bytes(b"no archive")
    with pytest.raises(UserError, match="damaged"):
        cifar.read(tmp_path / "no.tar.gz")
    for name in binary_files():
        (tmp_path / name).write_bytes(b"12")
    with pytest.raises(UserError, match="no multiple of 3073"):
        cifar.read(tmp_path)
