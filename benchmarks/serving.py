"""The response times of `autoenc serve` at MovieLens 10M's size, and the quality of its default models.

    python -m benchmarks.serving                    times over HTTP, about a minute
    python -m benchmarks.serving --demonstration    the quality compared with the defaults, about two minutes

The times are for a network with 10,677 items, emb_dim 800 and hidden_dim 400, fitted on a few random users, as
they don't depend on what it has learned. The request is that of the page, for ten recommendations with the
contributions of random likes. Clients and server share the processors.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import http.client
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from autoenc import EASE, AutoEncoder, datasets
from autoenc.datasets.synthetic import synthetic
from autoenc.evaluation.evaluate import evaluate
from autoenc.serve.demonstration import NETWORK, in_pieces

ROOT = Path(__file__).parent.parent
N_ITEMS = 10_677
CLIENTS = 50


def questions(n_likes, item_ids, n, seed):
    """The paths of n requests with different likes."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        likes = "".join(f"&like={item}" for item in rng.choice(item_ids, n_likes, replace=False))
        yield f"/api/recommend?explain=true{likes}"


def ask(address, paths):
    """The seconds of each answer, for consecutive requests over one connection."""
    connection = http.client.HTTPConnection(address.hostname, address.port)
    seconds = []
    for path in paths:
        start = time.perf_counter()
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        seconds.append(time.perf_counter() - start)
        assert response.status == 200, f"{path}: {response.status}"
    connection.close()
    return seconds


def line(name, seconds):
    median, p95 = np.percentile(seconds, [50, 95]) * 1000
    print(f"{name:34} median {median:6.1f} ms   95th percentile {p95:6.1f} ms   ({len(seconds)} answers)", flush=True)


def times():
    likes = synthetic(n_users=500, n_items=N_ITEMS, n_likes=57_500)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        AutoEncoder(epochs=1).fit(likes).save(path)
        command = [sys.executable, "-m", "autoenc", "serve", str(path), "--port", "0"]
        server = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        try:
            said = next(text for text in server.stderr if text.startswith("serving"))
            address = urlsplit(said.split(" at ")[1].split()[0])
            ask(address, questions(10, likes.item_ids, 20, seed=0))
            for n_likes in (3, 10, 50, 200):
                line(f"1 client, {n_likes} likes", ask(address, questions(n_likes, likes.item_ids, 100, seed=1)))
            with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
                each = [list(questions(10, likes.item_ids, 20, seed)) for seed in range(CLIENTS)]
                start = time.perf_counter()
                seconds = np.concatenate(list(pool.map(lambda paths: ask(address, paths), each)))
                elapsed = time.perf_counter() - start
            line(f"{CLIENTS} clients at once, 10 likes", seconds)
            print(f"{len(seconds) / elapsed:.0f} answers per second")
        finally:
            server.terminate()
            server.wait()
            server.stderr.close()


def demonstration(n_users=200, n_shown=4):
    """The share of the ten best that are among the other likes of users outside the training data."""
    ratings = datasets.load()
    apart = np.sort(np.random.default_rng(0).permutation(ratings.n_users)[:n_users])
    rng = np.random.default_rng(n_shown)
    shown, others = [], []
    for user in apart:
        of_user = rng.permutation(ratings.user_items[[user]].indices)
        shown.append(np.sort(of_user[:n_shown]).tolist())
        others.append(np.sort(of_user[n_shown:]).tolist())
    train = np.setdiff1d(np.arange(ratings.n_users), apart)
    whole = ratings.from_csr(ratings.user_items[train], item_ids=ratings.item_ids)
    for name, model, likes in (
        ("EASE, which ranks", EASE(), whole),
        ("EASE with an l2 of 2,000", EASE(l2=2000.0), whole),
        ("the network that is shown", AutoEncoder(**NETWORK), in_pieces(whole)),
        ("a network's defaults, on whole lists", AutoEncoder(), whole),
    ):
        p10 = evaluate(model.fit(likes), shown, others, ks=(10,))["precision@10"]
        print(f"{name:36} p@10 {p10:.3f}", flush=True)


def main(argv=None):
    parser = argparse.ArgumentParser("python -m benchmarks.serving", description=__doc__.splitlines()[0])
    parser.add_argument("--demonstration", action="store_true", help="measure quality instead of times")
    args = parser.parse_args(argv)
    demonstration() if args.demonstration else times()


if __name__ == "__main__":
    main()
