"""`autoenc serve`: serve a model as a web page with a JSON API."""

from __future__ import annotations

import argparse
import functools

from autoenc.cli.common import MODEL_HELP, say

HELP = "serve a model as a web page and a JSON API, on this computer"
EPILOG = """\
The page finds titles as you type, recommends items based on those you pick, shows which of them
contributed to each recommendation, and shows the layers of a network at work. The API is described at
/api/openapi.json.

Without MODEL, EASE is fitted on the bundled ratings at each start, which takes a few seconds. The network
that the page shows is then a different model: it is trained when its view is first opened (about half a
minute, once), and stored in the folder AUTOENC_CACHE_DIR, or else in the system's cache folder
(~/.cache/autoenc on Linux).

The server runs until Ctrl-C (exit code 130) or SIGTERM (exit code 0). Requests in progress get up to five
seconds to finish; a second Ctrl-C ends them at once. There is no authentication: anyone who can reach
--host can query the model.

example:
  autoenc serve model.safetensors --port 8000
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", nargs="?", help=f"{MODEL_HELP} "
                        "(default: EASE, fitted on the bundled ratings)")  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, which "
                        "only this computer can reach)")  # fmt: skip
    parser.add_argument(
        "--port", type=int, default=8000, help="port to listen on; 0 for any free one (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    from autoenc.serve.ending import ending_on_signals

    with ending_on_signals(args.prog):  # before slow imports
        from autoenc.models import load_model
        from autoenc.serve import demonstration
        from autoenc.serve.on_demand import OnDemand
        from autoenc.serve.server import check_installed, listen, serve

        check_installed()
        with listen(args.host, args.port) as listening:  # before the fit, so that a port in use is reported at once
            if args.model is None:
                say("fitting EASE on the bundled ratings, which takes a few seconds")
                model = demonstration.ranking()
                network = OnDemand(functools.partial(demonstration.network, say=say))
            else:
                model, network = load_model(args.model), None
            serve(model, listening, args.host, say, network)
    return 0
