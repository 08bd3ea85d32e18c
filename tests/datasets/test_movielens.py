"""The bundled edition, and downloads from a local server that behaves like real ones."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import socket
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from autoenc import datasets
from autoenc.datasets import movielens
from tests.helpers import DATA, ROOT

FORMATS = DATA / "formats"
ORIGINAL = Path(os.environ.get("AUTOENC_TEST_DATA", ROOT.parent / "shared" / "data")) / "ml-latest-small"
BUNDLED = Path(datasets.__file__).parent / "bundled"


def test_the_bundled_edition(ratings):
    assert ratings.name == "ml-latest-small"
    assert (ratings.n_users, ratings.n_items, ratings.n_likes) == (671, 9066, 100_004)
    assert ratings.titles[0] == "Toy Story (1995)"
    assert ratings.item_names(ratings.index_of_items("Misérables, Les (1995)")) == ["Misérables, Les (1995)"]


def test_the_bundle_is_small_and_has_its_licence():
    assert (BUNDLED / "ml-latest-small.zip").stat().st_size < 1_000_000
    licence = (BUNDLED / "README.txt").read_text(encoding="utf-8")
    assert "The user may redistribute the data set, including transformations, so long as it is distributed" in licence


def test_the_bundle_keeps_ratings_and_times():
    everything = datasets.read(BUNDLED / "ml-latest-small.zip", values=True)
    assert set(np.unique(everything.ratings * 2)) == set(range(1, 11))
    years = everything.timestamps.astype("datetime64[s]").astype("datetime64[Y]")
    assert (str(years.min()), str(years.max())) == ("1995", "2016")


@pytest.mark.skipif(not ORIGINAL.is_dir(), reason="the original edition is not at AUTOENC_TEST_DATA")
def test_the_bundle_is_the_original(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("make", BUNDLED / "make.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    monkeypatch.setattr(make, "HERE", tmp_path)
    make.make(ORIGINAL)
    assert (tmp_path / "README.txt").read_bytes() == (BUNDLED / "README.txt").read_bytes()
    made, kept = (zipfile.ZipFile(folder / "ml-latest-small.zip") for folder in (tmp_path, BUNDLED))
    assert made.namelist() == kept.namelist()
    for name in kept.namelist():
        assert made.read(name) == kept.read(name) == (ORIGINAL / Path(name).name).read_bytes()


class Server(ThreadingHTTPServer):
    """Serves /ml-100k.zip, one answer after the other; the last one again and again."""

    def __init__(self, content: bytes, *answers: str):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.answers, self.asked = content, list(answers), []

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.path)
        answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
        if answer == "404":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(server.content)))
        self.end_headers()
        if answer == "whole":
            self.wfile.write(server.content)
        elif answer == "other":
            self.wfile.write(server.content[::-1])
        elif answer == "cut off":
            self.wfile.write(server.content[: len(server.content) // 2])

    def log_message(self, *_):
        pass


@pytest.fixture
def small_100k(monkeypatch):
    """ml-100k.zip with five ratings in it, registered with its own hash; no proxy, no waiting before a retry."""
    content = (FORMATS / "csv.zip").read_bytes()
    archive = movielens.Archive(len(content), f"md5:{hashlib.md5(content).hexdigest()}", "ml-100k/u.data")
    monkeypatch.setitem(movielens.ARCHIVES, "ml-100k", archive)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    return content


def what_to_do(url: str, content: bytes, folder: Path) -> str:
    """The rest of the sentence: what to fetch, and where to put it."""
    hash_ = movielens.ARCHIVES["ml-100k"].hash
    return re.escape(
        f". Fetch {url}/ml-100k.zip ({len(content):,} bytes, {hash_}) by hand and put it at {folder / 'ml-100k.zip'}, "
        "or pass the path of the archive, of its folder or of its u.data: --data PATH."
    )


def test_a_download_is_kept(small_100k, tmp_path, capsys):
    with Server(small_100k, "whole") as server:
        for _ in range(2):
            likes = datasets.load("ml-100k", cache_dir=tmp_path / "new", base_url=server.url)
    assert (likes.name, likes.n_likes) == ("ml-100k", 5)
    assert server.asked == ["/ml-100k.zip"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["ml-100k.zip"]
    assert "%" not in capsys.readouterr().err


def test_progress_is_shown_on_stderr(small_100k, tmp_path, capsys):
    with Server(small_100k, "whole") as server:
        datasets.load("ml-100k", cache_dir=tmp_path, base_url=server.url, progress=True)
    out, err = capsys.readouterr()
    assert "100%" in err and out == ""


def test_the_environment_says_where_from_and_where_to(small_100k, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOENC_CACHE_DIR", str(tmp_path))
    with Server(small_100k, "whole") as server:
        monkeypatch.setenv("AUTOENC_MOVIELENS_URL", server.url + "/")
        assert movielens.fetch("ml-100k") == tmp_path / "ml-100k.zip"


def test_by_default_the_platform_says_where_to(monkeypatch, tmp_path):
    import pooch

    class Store:
        def __init__(self, **known):
            self.known = known

        def fetch(self, file, downloader):
            raise OSError(f"{file} to {self.known['path']} from {self.known['base_url']}")

    for name in ("AUTOENC_CACHE_DIR", "AUTOENC_MOVIELENS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / project)
    monkeypatch.setattr(pooch, "create", Store)
    url, folder = "https://files.grouplens.org/datasets/movielens/", tmp_path / "autoenc"
    wanted = (
        f"ml-10m cannot be downloaded: ml-10m.zip to {folder} from {url}. Fetch {url}ml-10m.zip (65,566,137 bytes, "
        "sha256:813c411ccb6122564edfe752e7f80c4dcc5aa25fa94c93622f6877a7ba252862) by hand and put it at "
        f"{folder / 'ml-10m.zip'}, or pass the path of the archive, of its folder or of its ratings.dat: --data PATH."
    )
    with pytest.raises(OSError, match=f"^{re.escape(wanted)}$"):
        datasets.load("ml-10m")


def test_a_download_that_breaks_off_is_tried_again(small_100k, tmp_path):
    with Server(small_100k, "cut off", "whole") as server:
        assert datasets.load("ml-100k", cache_dir=tmp_path, base_url=server.url).n_likes == 5
    assert len(server.asked) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["ml-100k.zip"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("cut off", "the connection was lost"),
        ("other", "the download has a wrong hash"),
        ("404", "the server answers 404"),
    ],
)
def test_a_broken_download_leaves_nothing(answer, reason, small_100k, tmp_path):
    with Server(small_100k, answer) as server:
        rest = what_to_do(server.url, small_100k, tmp_path)
        with pytest.raises(OSError, match=f"^ml-100k cannot be downloaded: {reason}{rest}$"):
            datasets.load("ml-100k", cache_dir=tmp_path, base_url=server.url)
        assert list(tmp_path.iterdir()) == []

        server.answers = ["whole"]  # and then it works
        assert datasets.load("ml-100k", cache_dir=tmp_path, base_url=server.url).n_likes == 5


def test_no_server(small_100k, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    rest = what_to_do(url, small_100k, tmp_path)
    with pytest.raises(OSError, match=f"^ml-100k cannot be downloaded: the server cannot be reached{rest}$"):
        datasets.load("ml-100k", cache_dir=tmp_path, base_url=url)


def test_a_server_that_does_not_answer(small_100k, tmp_path, monkeypatch):
    import pooch

    monkeypatch.setattr(pooch.downloaders, "DEFAULT_TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(OSError, match=r"^ml-100k cannot be downloaded: the server takes too long\. Fetch"):
            datasets.load("ml-100k", cache_dir=tmp_path, base_url=url)


def test_no_address(small_100k, tmp_path):
    with pytest.raises(OSError, match=r"^ml-100k cannot be downloaded: No connection adapters .*\. Fetch"):
        datasets.load("ml-100k", cache_dir=tmp_path, base_url="nowhere://")


def test_a_cache_that_cannot_be_written(small_100k, tmp_path):
    (tmp_path / "file").write_text("")
    with Server(small_100k, "whole") as server, pytest.raises(OSError, match=r"^ml-100k cannot be .*Fetch"):
        datasets.load("ml-100k", cache_dir=tmp_path / "file" / "folder", base_url=server.url)


def test_what_was_put_there_by_hand_is_taken(small_100k, tmp_path):
    (tmp_path / "ml-100k.zip").write_bytes(small_100k)
    assert datasets.load("ml-100k", cache_dir=tmp_path, base_url="nowhere://").n_likes == 5


def test_what_is_damaged_in_the_cache_is_fetched_again(small_100k, tmp_path):
    (tmp_path / "ml-100k.zip").write_bytes(small_100k[:100])
    with Server(small_100k, "whole") as server:
        assert datasets.load("ml-100k", cache_dir=tmp_path, base_url=server.url).n_likes == 5


@pytest.mark.parametrize("name", list(movielens.ARCHIVES))
def test_the_ratings_of_each_edition_are_found(name, tmp_path):
    member = Path(movielens.ARCHIVES[name].ratings)
    sample = FORMATS / {"ratings.csv": "csv", "ratings.dat": "dat", "u.data": "100k"}[member.name]
    path = tmp_path / f"{name}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{member.parent}/README.txt", "About the data.")
        for other in ("tags.csv", "tags.dat", "u1.base", "links.csv"):
            archive.writestr(f"{member.parent}/{other}", "9,9,9,9\n")
        for file in sample.iterdir():
            archive.write(file, f"{member.parent}/{file.name}")
    likes = datasets.load(path=path)
    assert (likes.name, likes.n_likes, likes.titles[0]) == (name, 5, "Amélie (2001)")


def test_the_registry():
    assert [name for name in datasets.NAMES if name not in movielens.ARCHIVES] == ["ml-latest-small", "synthetic"]
    assert movielens.ARCHIVES["ml-10m"].n_bytes == 65_566_137
    for archive in movielens.ARCHIVES.values():
        assert re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", archive.hash)


def test_an_unknown_name():
    with pytest.raises(
        ValueError, match=r"^name is 'ml-5m'; pass one of ml-latest-small, ml-100k, .*, synthetic, or the"
    ):
        datasets.load("ml-5m")


def test_the_name_of_a_file_is_told_from_that_of_a_data_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "likes.csv").write_text("user,item\n1,2\n")
    with pytest.raises(
        ValueError, match=r"^there is no data set 'likes.csv'; to read the file, pass path='likes.csv'\.$"
    ):
        datasets.load("likes.csv")
