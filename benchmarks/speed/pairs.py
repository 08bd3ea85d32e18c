"""Which kernel replaces which layers, and how both sides are run on the same arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from autoenc.evaluation.ranking import top_n_of_scores
from autoenc.kernels.adam import adam_rows
from autoenc.kernels.bottleneck import bottleneck, bottleneck_backward
from autoenc.kernels.exp import exp_of_negative
from autoenc.kernels.gather_sum import balanced_blocks, gather_sum
from autoenc.kernels.jit import kernel
from autoenc.kernels.linear import linear
from autoenc.kernels.log_normalizer import log_normalizer
from autoenc.kernels.normalize import normalize, normalize_backward, normalize_eval
from autoenc.kernels.output_tile import Targets, output_tile
from autoenc.kernels.ranks_of_sum import ranks_of_sum
from autoenc.kernels.scatter_add import catch_up, scatter_add
from autoenc.kernels.top_n import top_n
from autoenc.layers import BatchNorm1d, Dropout, Linear, Multinomial, ReLU, SigmoidBCE, SparseEmbedding
from autoenc.models.weighted_sum import weighted_sum
from autoenc.networks.autoencoder import AutoEncoderNetwork
from autoenc.optim import Adam
from autoenc.training.fused import DriftTable, FusedEngine
from autoenc.training.plain import train_step
from benchmarks.speed.problem import KEY, Problem, next_rates, trained

# Each function below returns two others, for the layers and for the kernels. These prepare, and return the
# function to time, whose outputs are arrays by name, or functions that compute them afterwards.


def gather(p: Problem):
    def layers():
        return lambda: {"output": SparseEmbedding(p.state["embedding.weight"]).forward(p.user_items)}

    def kernels():
        indptr, indices = p.user_items.indptr, p.user_items.indices
        return lambda: {"output": gather_sum(indptr, indices, p.state["embedding.weight"], balanced_blocks(indptr))}

    return layers, kernels


def normalizing(p: Problem):
    def layers():
        relu, dropout, (batchnorm, _) = ReLU(), Dropout(0.5), p.normalizing()

        def run():
            output = dropout.forward(batchnorm.forward(relu.forward(p.item_sum), True), True, KEY)
            return {"output": output, **batchnorm.buffers}

        return run

    def kernels():
        batchnorm, _ = p.normalizing()
        norm = p.normalizer(batchnorm)
        return lambda: {"output": normalize(p.item_sum, p.mask(p.emb_dim), norm)[0], **batchnorm.buffers}

    return layers, kernels


def normalizing_backward(p: Problem):
    def layers():
        relu, dropout, (batchnorm, adam) = ReLU(), Dropout(0.5), p.normalizing()
        dropout.forward(batchnorm.forward(relu.forward(p.item_sum), True), True, KEY)

        def run():
            grad_input = relu.backward(batchnorm.backward(dropout.backward(p.grad_h1)))
            adam.step(batchnorm.grads)
            return {"grad_input": grad_input, **adam.params}

        return run

    def kernels():
        batchnorm, adam = p.normalizing()
        mask = p.mask(p.emb_dim)
        _, kept = normalize(p.item_sum, mask, p.normalizer(batchnorm))

        def run():
            scale = trained(adam, "weight"), trained(adam, "bias")
            grad_input, rates = p.grad_h1.copy(), next_rates(adam)
            normalize_backward(grad_input, kept, mask, *scale, rates)
            return {"grad_input": grad_input, **adam.params}

        return run

    return layers, kernels


def normalizing_eval(p: Problem):
    def layers():
        batchnorm, _ = p.normalizing()
        return lambda: {"output": batchnorm.forward(ReLU().forward(p.item_sum), False)}

    def kernels():
        x, norm = p.item_sum.copy(), p.normalizer(p.normalizing()[0])

        def run():
            normalize_eval(x, norm)
            return {"output": x}

        return run

    return layers, kernels


def linear_eval(p: Problem):
    weight, bias = p.layer("bottleneck").values()

    def layers():
        return lambda: {"output": Linear(weight, bias).forward(p.h1)}

    def kernels():
        return lambda: {"output": linear(p.h1, weight, bias)}

    return layers, kernels


def bottleneck_forward(p: Problem):
    weight, bias = p.layer("bottleneck").values()

    def layers():
        layer, relu, dropout, (batchnorm, _) = Linear(weight, bias), ReLU(), Dropout(0.5), p.normalizing("batchnorm2")

        def run():
            output = dropout.forward(batchnorm.forward(relu.forward(layer.forward(p.h1)), True), True, KEY)
            return {"output": output, **batchnorm.buffers}

        return run

    def kernels():
        batchnorm, _ = p.normalizing("batchnorm2")
        norm = p.normalizer(batchnorm)
        mask = p.mask(p.hidden_dim)
        return lambda: {"output": bottleneck(p.h1, weight, bias, mask, norm)[0], **batchnorm.buffers}

    return layers, kernels


def bottleneck_then_normalizing_backward(p: Problem):
    def layers():
        adam, (batchnorm, adam_of_scale) = p.adam(p.layer("bottleneck")), p.normalizing()
        layer, relu, dropout = Linear(**adam.params), ReLU(), Dropout(0.5)
        layer.forward(dropout.forward(batchnorm.forward(relu.forward(p.item_sum), True), True, KEY))

        def run():
            grad_h1 = layer.backward(p.grad_z2)
            grad_input = relu.backward(batchnorm.backward(dropout.backward(grad_h1)))
            adam.step(layer.grads)
            adam_of_scale.step(batchnorm.grads)
            return {"grad_input": grad_input, **adam.params}

        return run

    def kernels():
        adam, (batchnorm, adam_of_scale) = p.adam(p.layer("bottleneck")), p.normalizing()
        mask = p.mask(p.emb_dim)
        _, kept = normalize(p.item_sum, mask, p.normalizer(batchnorm))
        linear_params = trained(adam, "weight"), trained(adam, "bias")
        scale = trained(adam_of_scale, "weight"), trained(adam_of_scale, "bias")

        def run():
            next_rates(adam_of_scale)
            grad_input = bottleneck_backward(p.grad_z2, *linear_params, kept, mask, *scale, next_rates(adam))
            return {"grad_input": grad_input, **adam.params}

        return run

    return layers, kernels


def output(p: Problem, loss_layer=SigmoidBCE):
    def layers():
        adam = p.adam(p.layer("output"))
        layer, last = Linear(**adam.params), loss_layer()

        def run():
            loss = last.forward(layer.forward(p.h2), p.user_items)
            grad_h2 = layer.backward(last.backward())
            adam.step(layer.grads)
            return {"loss": np.float32(loss), "grad_h2": grad_h2, **adam.params}

        return run

    def kernels():
        adam, item_users = p.adam(p.layer("output")), p.user_items.tocsc()
        weight, bias = trained(adam, "weight"), trained(adam, "bias")

        def run():
            rates = next_rates(adam)
            log_z = np.empty(0, p.h2.dtype)  # BCE has none
            if loss_layer is Multinomial:
                log_z = log_normalizer(weight.weight, bias.weight, p.h2)
            every_like_counts_1 = np.empty(0, p.h2.dtype)
            targets = Targets(item_users.indptr, item_users.indices, every_like_counts_1, log_z, 1.0)
            loss, grad_h2 = output_tile(weight, bias, p.h2, targets, rates)
            return {"loss": np.float32(loss), "grad_h2": grad_h2, **adam.params}

        return run

    return layers, kernels


def multinomial_output(p: Problem):
    return output(p, Multinomial)


def scatter(p: Problem):
    """The second of two steps, so that rows of the batch have missed one."""
    before, now = p.batches[1], p.batches[0]

    def layers():
        adam = p.adam(p.layer("embedding"))
        embedding = SparseEmbedding(**adam.params)

        def step(user_items):
            embedding.kept = user_items
            embedding.backward(p.grad_h1)
            adam.step(embedding.grads)
            return adam.params

        step(before)
        return lambda: step(now)

    def kernels():
        adam = p.adam(p.layer("embedding"))
        embedding, drift = trained(adam, "weight"), DriftTable(adam)
        last_step = np.full(p.n_items, adam.step_count)
        before_csc, now_csc = before.tocsc(), now.tocsc()

        def step(item_users):
            items = np.flatnonzero(np.diff(item_users.indptr))
            items = items[last_step[items] < adam.step_count]
            catch_up(items, embedding, last_step, drift.history(), embedding.weight)
            rates = next_rates(adam)
            drift.advance()
            blocks = balanced_blocks(item_users.indptr)
            csc = item_users.indptr, item_users.indices
            scatter_add(*csc, p.grad_h1, embedding, last_step, drift.history(), rates, blocks)
            return {"weight": caught_up}

        def caught_up():
            weight = np.empty_like(embedding.weight)
            catch_up(np.arange(p.n_items), embedding, last_step, drift.history(), weight)
            return weight

        step(before_csc)
        return lambda: step(now_csc)

    return layers, kernels


def ranking(p: Problem):
    weight, bias = p.layer("output").values()

    def layers():
        return lambda: {"scores": top_n_of_scores(Linear(weight, bias).forward(p.h2), p.user_items, 10)[1]}

    def kernels():
        indptr, indices = p.user_items.indptr, p.user_items.indices
        return lambda: {"scores": top_n(p.h2, weight, bias, indptr, indices, 10)[1]}

    return layers, kernels


def ranking_a_blend(p: Problem):
    scores = np.stack([p.draw(30 + model, p.batch, p.n_items) for model in range(3)])
    weights, n = np.array([[1, 15, 0.5]], p.dtype), min(100, p.n_items // 4)
    liked, held_out = p.user_items, p.user_items[np.roll(np.arange(p.batch), 1)]
    users = np.repeat(np.arange(p.batch), np.diff(held_out.indptr))

    def layers():
        def hits():
            items, _ = top_n_of_scores(weighted_sum(scores, weights[0]), liked, n)
            return {"hits": lambda: (items[users] == held_out.indices[:, None]).any(axis=1)}

        return hits

    def kernels():
        of_liked, of_held_out = (liked.indptr, liked.indices), (held_out.indptr, held_out.indices)

        def hits():
            [ranks], _ = ranks_of_sum(scores, weights, of_liked, of_held_out)
            return {"hits": lambda: ranks < n}

        return hits

    return layers, kernels


def adam_alone(p: Problem):
    grad_weight = p.draw(6, p.n_items, p.hidden_dim)
    params = {"weight": p.state["output.weight"]}

    def layers():
        adam = p.adam(params)

        def run():
            adam.step({"weight": grad_weight})
            return adam.params

        return run

    def kernels():
        adam = p.adam(params)

        def run():
            adam_rows(trained(adam, "weight"), 0, p.n_items, grad_weight, next_rates(adam))
            return adam.params

        return run

    return layers, kernels


def exp_alone(p: Problem):
    x = np.linspace(-87, 0, p.batch * p.n_items, dtype=np.float32).astype(p.dtype)

    def layers():
        return lambda: {"exp": np.exp(x)}

    def kernels():
        out = np.empty_like(x)

        def run():
            exp_of_all(x, out)
            return {"exp": out}

        return run

    return layers, kernels


@kernel
def exp_of_all(x, out):
    for i in range(len(x)):
        out[i] = exp_of_negative(x[i])


def whole_step(p: Problem):
    def network():
        # The parameters are Adam's copies; the buffers are copies too.
        adam = p.adam(AutoEncoderNetwork(p.state).params)
        buffers = {name: w.copy() for name, w in p.state.items() if name not in adam.params}
        return AutoEncoderNetwork(adam.params | buffers), adam

    def layers():
        net, adam = network()
        return lambda: {"loss": np.float32(train_step(net, adam, p.user_items, KEY[:3])), **net.state}

    def kernels():
        net, adam = network()
        model = FusedEngine(net, adam)

        def run():
            loss = model.train_step(p.user_items, KEY[:3])
            embedding = {"embedding.weight": lambda: model.state_dict()["embedding.weight"]}
            return {"loss": np.float32(loss), **net.state, **embedding}

        return run

    return layers, kernels


class Pair(NamedTuple):
    """A kernel's file, the definitions that it replaces, and how both are run."""

    file: str  # in kernels/
    title: str
    definition: list[Callable]
    make: Callable


PAIRS = [
    Pair("gather_sum", "The embedding's forward", [SparseEmbedding.forward], gather),
    Pair(
        "normalize",
        "ReLU, BatchNorm and dropout, forward",
        [ReLU.forward, BatchNorm1d.forward, Dropout.forward],
        normalizing,
    ),
    Pair(
        "normalize",
        "ReLU, BatchNorm and dropout, backward, with Adam",
        [Dropout.backward, BatchNorm1d.backward, ReLU.backward],
        normalizing_backward,
    ),
    Pair(
        "normalize",
        "ReLU and BatchNorm in evaluation",
        [],
        normalizing_eval,
    ),
    Pair("linear", "A linear layer in evaluation", [Linear.forward], linear_eval),
    Pair(
        "bottleneck",
        "Linear, ReLU, BatchNorm and dropout, forward",
        [Linear.forward, ReLU.forward, BatchNorm1d.forward, Dropout.forward],
        bottleneck_forward,
    ),
    Pair(
        "bottleneck",
        "Linear, dropout, BatchNorm and ReLU, backward, with Adam",
        [Linear.backward, Dropout.backward, BatchNorm1d.backward, ReLU.backward],
        bottleneck_then_normalizing_backward,
    ),
    Pair(
        "output_tile",
        "The output layer's whole step, with Adam",
        [Linear.forward, SigmoidBCE.forward, SigmoidBCE.backward, Linear.backward],
        output,
    ),
    Pair(
        "log_normalizer",
        "The same with the multinomial loss",
        [Multinomial.forward, Multinomial.backward],
        multinomial_output,
    ),
    Pair(
        "scatter_add",
        "The embedding's backward, with Adam",
        [SparseEmbedding.backward],
        scatter,
    ),
    Pair("adam", "Adam alone, on one thread", [Adam.step], adam_alone),
    Pair("exp", "exp alone, on one thread (NumPy's too)", [], exp_alone),
    Pair(
        "top_n",
        "Scores and the ten best, without liked ones",
        [top_n_of_scores],
        ranking,
    ),
    Pair(
        "ranks_of_sum",
        "Which held-out likes are among the hundred best of three models' blend, on one thread",
        [weighted_sum, top_n_of_scores],
        ranking_a_blend,
    ),
    Pair("", "A whole training step", [train_step], whole_step),
]
