"""`autoenc serve`: a model as a web page with a JSON API."""

from __future__ import annotations

import argparse

from autoenc.cli.common import MODEL_HELP, add_progress, say, wants_progress

HELP = "serve a model as a web page and a JSON API, on this computer"
EPILOG = """\
The page finds titles as you type, recommends for those you pick, says which of them are behind each
recommendation, and shows the network's layers at work on them. The API is described by itself, at
/api/openapi.json. Without MODEL the bundled ratings are trained on first, once, cut to lists of
about a dozen likes, as visitors give. That model is kept in the folder that AUTOENC_CACHE_DIR names,
or else in the system's for caches (~/.cache/autoenc on Linux); the first line says where.

It runs until Ctrl-C (exit code 130) or SIGTERM (exit code 0), whether it serves yet or not. Requests
that it is at are answered first, for five seconds at most, or until a second Ctrl-C. It asks nobody
who they are: with a --host that others can reach, whoever reaches it can ask the model.

example:
  autoenc serve model.safetensors --port 8000
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", nargs="?", help=f"{MODEL_HELP} "
                        "(default: one of the bundled ratings)")  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s, which "
                        "only this computer can reach)")  # fmt: skip
    parser.add_argument("--port", type=int, default=8000, help="the port; 0 takes a free one (default: %(default)s)")
    add_progress(parser)


def run(args: argparse.Namespace) -> int:
    from autoenc.serve.ending import ending_on_signals

    with ending_on_signals(args.prog):  # before what takes long to import
        from autoenc.models import load_model
        from autoenc.serve.server import bundled_model, check_installed, listen, serve

        check_installed()
        with listen(args.host, args.port) as listening:  # before the training, so that a port in use is known at once
            model = bundled_model(wants_progress(args), say) if args.model is None else load_model(args.model)
            serve(model, listening, args.host, say)
    return 0
