"""The network at work: the output of every layer for one user's likes.

The network is run unchanged, with each layer replaced by a copy that records its output. Only the copies
store arrays for backward and, in training mode, update their running statistics, so several threads may
use the network at once.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import re
import textwrap
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from autoenc.layers import BatchNorm1d, Dropout, Multinomial, SigmoidBCE
from autoenc.layers.sigmoid_bce import sigmoid
from autoenc.networks.base import Key, Network

MOST_VALUES = 20_000
"""The largest number of values of a layer in a strip, which are its first ones."""


class Step(NamedTuple):
    """One layer at work.

    `layer` is the copy that ran, `x` its input for the batch, and `output` its output for the first user,
    (features,).
    """

    name: str
    layer: Any
    x: Any
    output: np.ndarray


class _Watched:
    """A copy of a layer that appends a Step to `steps` when it runs."""

    def __init__(self, name: str, layer: Any, steps: list[Step]):
        self.name, self.steps = name, steps
        self.layer = copy.copy(layer)
        if hasattr(layer, "buffers"):
            self.layer.buffers = {key: buffer.copy() for key, buffer in layer.buffers.items()}

    def forward(self, x: Any, *args: Any) -> Any:
        output = self.layer.forward(x, *args)
        first = output[[0]].toarray()[0] if sparse.issparse(output) else output[0]
        self.steps.append(Step(self.name, self.layer, x, first))
        return output


def run(network: Network, user_items: sparse.csr_array, training: bool, key: Key = (0, 0, 0)) -> list[Step]:
    """Every layer's output for the first row, up to the probabilities.

    Parameters
    ----------
    network : Network
    user_items : (batch, n_items)
        The likes to show and, in training, those of the other users in the batch.
    training : bool
        Whether dropout is applied, and batch normalization uses the batch's statistics.
    key : (seed, epoch, step)
        Determines the randomness in training.
    """
    steps: list[Step] = []
    watched = copy.copy(network)
    for name, layer in network.layers.items():
        setattr(watched, name, _Watched(name, layer, steps))
    hidden = watched.encode(user_items, training, key)  # (batch, hidden_dim)
    logits = watched.output.forward(hidden[:1])  # (1, n_items): the other users' are not needed
    loss = copy.copy(network.loss)
    loss.forward(logits, user_items[[0]])
    if isinstance(loss, Multinomial):
        steps.append(Step("softmax", loss, logits, np.exp(loss.kept[0][0])))
    else:
        steps.append(Step("sigmoid", loss, logits, sigmoid(logits[0])))
    return steps


def strips(
    network: Network, steps: list[Step], steps_without: list[Step] | None, training: bool
) -> list[dict[str, Any]]:
    """The steps as plain numbers and strings; if a like is left out, also the changes in each step."""
    result = []
    for step, without in itertools.zip_longest(steps, steps_without or []):
        strip: dict[str, Any] = {
            "name": step.name,
            "layer": type(step.layer).__name__,
            "shape": list(step.output.shape),
            "params": {name: list(array.shape) for name, array in step.layer.params.items()},
            "values": plain(step.output),
            **lesson(type(step.layer), training),
        }
        if without is not None:
            strip["change"] = plain(step.output - without.output)
        if isinstance(step.layer, Dropout) and training:
            strip["dropped"] = np.flatnonzero(~step.layer.kept[0]).tolist()
        if isinstance(step.layer, BatchNorm1d):
            running = getattr(network, step.name).buffers
            strip["statistics"] = {key.replace("_", " "): plain(buffer) for key, buffer in running.items()}
            if training:
                of_batch = {"batch mean": step.x.mean(axis=0), "batch var": step.x.var(axis=0)}
                strip["statistics"] |= {name: plain(values) for name, values in of_batch.items()}
        result.append(strip)
    return result


def plain(values: np.ndarray) -> list[float]:
    """At most MOST_VALUES numbers for JSON, to five digits."""
    values = values[:MOST_VALUES].astype(np.float64)
    size = 10.0 ** np.floor(np.log10(np.abs(values), where=values != 0, out=np.zeros_like(values)))
    rounded: list[float] = (np.round(values / size * 1e4) / (1e4 / size)).tolist()
    return rounded


def lesson(layer: type, training: bool) -> dict[str, str]:
    """A layer's equations, from its module's docstring, and its lines of code."""
    forward = inspect.getsource(layer.forward)  # type: ignore[attr-defined]
    if layer is SigmoidBCE:
        forward = inspect.getsource(sigmoid) + "\n\n" + textwrap.dedent(forward)
    module = inspect.getmodule(layer)
    equations = {heading: equations_of(text) for heading, text in sections(inspect.getdoc(module) or "").items()}
    mode = "Forward, in training" if training else "Forward, in evaluation"
    return {
        "module": module.__name__ if module else "",
        "forward": equations.get(mode, equations.get("Forward", "")),
        "backward": next((text for heading, text in equations.items() if heading.startswith("Backward")), ""),
        "forward_code": textwrap.dedent(forward).rstrip(),
        "backward_code": textwrap.dedent(inspect.getsource(layer.backward)).rstrip(),  # type: ignore[attr-defined]
    }


def equations_of(section: str) -> str:
    """The lines of a section that are equations or continue one, with the notes to their right moved closer.

    >>> equations_of("h = sigmoid(z)          of each\\n  = 1 / (1 + exp(-z))\\nThe sum runs over all.")
    'h = sigmoid(z)    of each\\n  = 1 / (1 + exp(-z))'
    """
    lines = [line for line in section.splitlines() if "=" in line or line.startswith(" ")]
    return "\n".join(re.sub(r"(?<=\S) {5,}", "    ", line) for line in lines)


def sections(docstring: str) -> dict[str, str]:
    """The indented blocks of a layer's docstring by the heading above each.

    >>> sections("Title: text.\\n\\nForward\\n    output = max(x, 0)\\n\\nShapes\\n    x   (batch,)")
    {'Forward': 'output = max(x, 0)', 'Shapes': 'x   (batch,)'}
    """
    found: dict[str, list[str]] = {}
    heading = ""
    for line in docstring.splitlines():
        if line and not line.startswith(" "):
            heading = line
        elif heading:
            found.setdefault(heading, []).append(line)
    blocks = {heading: textwrap.dedent("\n".join(lines)).strip() for heading, lines in found.items()}
    return {heading: block for heading, block in blocks.items() if block}
