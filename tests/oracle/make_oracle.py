"""PyTorch's results for our layers, Adam and network, and the script that stores them.

    python tests/oracle/make_oracle.py            rewrites tests/oracle/*.npz; needs autoenc and PyTorch

Each case has two functions: one draws the inputs, the other computes PyTorch's results. A file holds a case's
inputs (float64), its results in float32 and float64, and the version of PyTorch. `tests/test_oracle.py`
compares ours with the stored results, so it doesn't need PyTorch; if it is installed, it compares with the
results of the installed version too.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from autoenc.datasets import load
from autoenc.layers.dropout import draw_mask
from autoenc.layers.gaussian_sample import draw_noise
from autoenc.networks import deep as deep_network
from autoenc.networks import denoising as denoising_network
from autoenc.networks import variational as variational_network
from autoenc.networks.autoencoder import initial_state

FOLDER = Path(__file__).parent


def tensor(array: np.ndarray) -> torch.Tensor:
    """A leaf that gathers its gradient."""
    return torch.tensor(array, requires_grad=True)


def arrays(**tensors) -> dict[str, np.ndarray]:
    return {name: x.detach().numpy().copy() for name, x in tensors.items()}


def sum_of_rows(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The rows of `weight` for the ones in each row of `x`, summed."""
    offsets = x.sum(dim=1).cumsum(dim=0).int() - x.sum(dim=1).int()
    return F.embedding_bag(x.nonzero()[:, 1].int(), weight, offsets, mode="sum")


def embedding_inputs(rng):
    user_items = (rng.random((6, 9)) < 0.4).astype(float)
    user_items[2] = 0  # a user who liked nothing
    user_items[:, 5] = 0  # an item that nobody likes
    user_items[[0, 1, 3], 7] = 1  # an item that three users share
    return {"user_items": user_items, "weight": rng.normal(size=(9, 4)), "grad_output": rng.normal(size=(6, 4))}


def embedding(user_items, weight, grad_output):
    weight = tensor(weight)
    output = sum_of_rows(torch.from_numpy(user_items), weight)
    output.backward(torch.from_numpy(grad_output))
    return arrays(output=output, grad_weight=weight.grad)


def linear_inputs(rng):
    return {
        "x": rng.normal(size=(6, 5)),
        "weight": rng.normal(size=(3, 5)),
        "bias": rng.normal(size=3),
        "grad_output": rng.normal(size=(6, 3)),
    }


def linear(x, weight, bias, grad_output):
    x, weight, bias = tensor(x), tensor(weight), tensor(bias)
    output = F.linear(x, weight, bias)
    output.backward(torch.from_numpy(grad_output))
    return arrays(output=output, grad_input=x.grad, grad_weight=weight.grad, grad_bias=bias.grad)


def relu_inputs(rng):
    x = rng.normal(size=(6, 5))
    x[0, :3] = 0.0, -0.0, 1e-30
    return {"x": x, "grad_output": rng.normal(size=(6, 5))}


def relu(x, grad_output):
    x = tensor(x)
    output = F.relu(x)
    output.backward(torch.from_numpy(grad_output))
    return arrays(output=output, grad_input=x.grad)


def batchnorm_inputs(rng):
    x = rng.normal(size=(4, 8, 5)) * [1, 1e-3, 1e3, 1, 1] + [0, 0, 0, 20, 0]  # four batches
    x[1, :, 4] = 0  # a feature that is 0 for a whole batch, as a ReLU leaves it: its variance is 0
    return {
        "x": x,
        "weight": rng.normal(size=5),
        "bias": rng.normal(size=5),
        "running_mean": rng.normal(size=5),
        "running_var": rng.random(5) + 0.5,
        "grad_output": rng.normal(size=(4, 8, 5)),
        "x_eval": rng.normal(size=(3, 5)),
    }


def batchnorm(x, weight, bias, running_mean, running_var, grad_output, x_eval):
    layer = nn.BatchNorm1d(5).to(torch.from_numpy(x).dtype)
    layer.load_state_dict(
        {
            "weight": torch.tensor(weight),
            "bias": torch.tensor(bias),
            "running_mean": torch.tensor(running_mean),
            "running_var": torch.tensor(running_var),
            "num_batches_tracked": torch.tensor(0),
        }
    )
    by_batch = []
    for batch, upstream in zip(x, grad_output):
        batch = tensor(batch)
        layer.zero_grad()
        output = layer(batch)
        output.backward(torch.from_numpy(upstream))
        by_batch.append(
            arrays(
                output=output,
                grad_input=batch.grad,
                grad_weight=layer.weight.grad,
                grad_bias=layer.bias.grad,
                running_mean=layer.running_mean,
                running_var=layer.running_var,
            )
        )
    answers = {name: np.stack([batch[name] for batch in by_batch]) for name in by_batch[0]}
    return answers | arrays(output_eval=layer.eval()(torch.from_numpy(x_eval)))


def dropout_inputs(rng):
    return {"x": rng.normal(size=(6, 8)), "grad_output": rng.normal(size=(6, 8))}


def dropout(x, grad_output):
    """The mask is PyTorch's own draw, and so it's among the answers: ours is handed it."""
    x = tensor(x)
    torch.manual_seed(0)
    output = F.dropout(x, p=0.25, training=True)
    output.backward(torch.from_numpy(grad_output))
    return arrays(output=output, grad_input=x.grad, keeps=output != 0)


def sigmoid_bce_inputs(rng):
    logits = rng.normal(size=(6, 9)) * 4
    logits[0] = 0, 17, -17, 89, -89, 104, -104, 1000, -1000  # where log, then exp, of the naive form give up
    user_items = (rng.random((6, 9)) < 0.4).astype(float)
    user_items[0] = 1, 0, 1, 0, 1, 0, 1, 0, 1  # and wrong about each of them
    user_items[3] = 0
    return {"logits": logits, "user_items": user_items}


def sigmoid_bce(logits, user_items):
    logits = tensor(logits)
    loss = F.binary_cross_entropy_with_logits(logits, torch.from_numpy(user_items), reduction="sum")
    loss.backward()
    return arrays(loss=loss, grad_logits=logits.grad)


def multinomial_inputs(rng):
    logits = rng.normal(size=(6, 9)) * 4
    logits[0] = 0, 17, -17, 89, -89, 104, -104, 1000, -1000
    logits[1] = 1e4 + rng.normal(size=9)  # where exp overflows for the whole row
    user_items = (rng.random((6, 9)) < 0.4).astype(float)
    user_items[0] = 1, 0, 1, 0, 1, 0, 1, 0, 1  # wrong by up to 2000
    user_items[3] = 0
    return {"logits": logits, "user_items": user_items}


def weighted_bce_inputs(rng):
    return sigmoid_bce_inputs(rng) | {"negative_weight": np.array(0.3)}


def weighted_bce(logits, user_items, negative_weight):
    logits, targets = tensor(logits), torch.from_numpy(user_items)
    weight = torch.where(targets > 0, 1.0, torch.from_numpy(negative_weight)).to(targets.dtype)
    loss = F.binary_cross_entropy_with_logits(logits, targets, weight, reduction="sum")
    loss.backward()
    return arrays(loss=loss, grad_logits=logits.grad)


def multinomial(logits, user_items):
    logits = tensor(logits)
    loss = -(F.log_softmax(logits, dim=1) * torch.from_numpy(user_items)).sum()
    loss.backward()
    return arrays(loss=loss, grad_logits=logits.grad)


def with_confidences(inputs):
    """The likes of other inputs, each counting from 0.1 to 3."""
    confidence = np.random.default_rng(1).uniform(0.1, 3, inputs["user_items"].shape)
    return inputs | {"user_items": inputs["user_items"] * confidence}


def confidence_bce_inputs(rng):
    return with_confidences(weighted_bce_inputs(rng))


def confidence_bce(logits, user_items, negative_weight):
    logits, confidence = tensor(logits), torch.from_numpy(user_items)
    targets = (confidence > 0).to(confidence.dtype)
    weight = torch.where(confidence > 0, confidence, torch.from_numpy(negative_weight).to(confidence.dtype))
    loss = F.binary_cross_entropy_with_logits(logits, targets, weight, reduction="sum")
    loss.backward()
    return arrays(loss=loss, grad_logits=logits.grad)


def confidence_multinomial_inputs(rng):
    return with_confidences(multinomial_inputs(rng))


def confidence_embedding_inputs(rng):
    return with_confidences(embedding_inputs(rng))


def confidence_embedding(user_items, weight, grad_output):
    weight, confidence = tensor(weight), torch.from_numpy(user_items)
    n_likes = (confidence > 0).sum(dim=1)
    mean_square = (confidence**2).sum(dim=1) / n_likes.clamp(min=1)
    users, items = confidence.nonzero(as_tuple=True)
    share = confidence[users, items] / mean_square[users].sqrt()
    offsets = n_likes.cumsum(dim=0) - n_likes
    output = F.embedding_bag(items, weight, offsets, mode="sum", per_sample_weights=share)
    output.backward(torch.from_numpy(grad_output))
    return arrays(output=output, grad_weight=weight.grad)


def soft_bce_inputs(rng):
    return {"logits": 3 * rng.normal(size=(6, 9)), "targets": rng.random((6, 9))}


def soft_bce(logits, targets):
    logits = tensor(logits)
    loss = F.binary_cross_entropy_with_logits(logits, torch.from_numpy(targets), reduction="sum")
    loss.backward()
    return arrays(loss=loss, grad_logits=logits.grad)


def masked_squared_error_inputs(rng):
    rated = rng.random((6, 9)) < 0.4
    rated[2] = False  # a user who rated nothing
    return {"output": rng.normal(size=(6, 9)), "ratings": rng.integers(1, 6, (6, 9)) * rated * 1.0}


def masked_squared_error(output, ratings):
    output, ratings = tensor(output), torch.from_numpy(ratings)
    loss = F.mse_loss(output[ratings > 0], ratings[ratings > 0])
    loss.backward()
    return arrays(loss=loss, grad_output=output.grad)


def selu_inputs(rng):
    x = rng.normal(size=(6, 5)) * 2
    x[0, :4] = 0.0, 100.0, -100.0, -1e-4
    return {"x": x, "grad_output": rng.normal(size=(6, 5))}


def selu(x, grad_output):
    x = tensor(x)
    output = nn.SELU()(x)
    output.backward(torch.from_numpy(grad_output))
    return arrays(output=output, grad_input=x.grad)


def tanh_inputs(rng):
    x = rng.normal(size=(6, 5)) * 2
    x[0, :4] = 0.0, 20.0, -20.0, 1e-30
    return {"x": x, "grad_output": rng.normal(size=(6, 5))}


def tanh(x, grad_output):
    x = tensor(x)
    output = torch.tanh(x)
    output.backward(torch.from_numpy(grad_output))
    return arrays(output=output, grad_input=x.grad)


def input_normalization_inputs(rng):
    return embedding_inputs(rng) | {"bias": rng.normal(size=4)}


def input_normalization(user_items, weight, grad_output, bias):
    """The rows themselves normalized, then a linear layer."""
    weight, bias = tensor(weight), tensor(bias)
    output = F.linear(F.normalize(torch.from_numpy(user_items), dim=1), weight.T, bias)
    output.backward(torch.from_numpy(grad_output))
    return arrays(output=output, grad_weight=weight.grad, grad_bias=bias.grad)


def gaussian_sample_inputs(rng):
    noise = draw_noise((6, 4), (3, 1, 4, 2)).astype(float)
    return {"x": rng.normal(size=(6, 8)), "noise": noise, "grad_output": rng.normal(size=(6, 4))}


def gaussian_sample(x, noise, grad_output):
    """With beta at 0.7; the KL is torch.distributions' own."""
    x = tensor(x)
    mean, log_var = x.chunk(2, dim=1)
    output = mean + torch.exp(log_var / 2) * torch.from_numpy(noise)
    code = torch.distributions.Normal(mean, torch.exp(log_var / 2))
    penalty = 0.7 * torch.distributions.kl_divergence(code, torch.distributions.Normal(0, 1)).sum()
    ((output * torch.from_numpy(grad_output)).sum() + penalty).backward()
    return arrays(output=output, penalty=penalty, grad_input=x.grad)


def adam_inputs(rng):
    sizes = np.array([1, 1e4, 1e-4, 1e-8, 1e-9, 1e-12, 1e-20, 0])  # from 1e-8 down eps decides the step
    grads = rng.normal(size=(20, 3, 8)) * sizes  # (steps, ...)
    grads[8:, 1] = 0  # a row whose gradient stops
    return {"w": rng.normal(size=(3, 8)), "grads": grads}


def adam(w, grads):
    w = tensor(w)
    optimizer = torch.optim.Adam([w], lr=0.01)
    trajectory = []
    for grad in grads:
        w.grad = torch.from_numpy(grad)
        optimizer.step()
        trajectory.append(w.detach().numpy().copy())
    moments = optimizer.state[w]
    return arrays(first_moment=moments["exp_avg"], second_moment=moments["exp_avg_sq"]) | {"w": np.stack(trajectory)}


def elsa_inputs(rng):
    user_items = (rng.random((6, 9)) < 0.4).astype(float)
    user_items[:, 5] = 0  # an item that nobody likes
    user_items[2] = np.arange(9) == 3  # a user of one like
    user_items[:2, 0] = 1
    return {"user_items": user_items, "weight": rng.normal(size=(9, 4))}


def elsa(user_items, weight):
    """The loss and its gradient by the whole users x items matrix, and the weights after ten steps of Adam."""
    weight, x = tensor(weight), torch.from_numpy(user_items)
    optimizer = torch.optim.Adam([weight], lr=0.03)
    for step in range(10):
        optimizer.zero_grad()
        rows = F.normalize(weight, dim=1)
        difference = F.normalize(x @ rows @ rows.T - x, dim=1) - F.normalize(x, dim=1)
        loss = (difference**2).sum(dim=1).mean()
        loss.backward()
        if step == 0:
            first = arrays(loss=loss, grad_weight=weight.grad)
        optimizer.step()
    return first | arrays(trained=weight)


def network_inputs(rng):
    """A corner of MovieLens latest-small with a user without likes, and who is in each of 20 batches (-1: nobody)."""
    user_items = load("ml-latest-small").user_items
    popular = np.sort(np.argsort(-user_items.sum(axis=0), kind="stable")[:280])
    corner = user_items[:60][:, popular].toarray()
    corner[17] = 0
    batches = np.full((20, 16), -1)
    for epoch in range(5):
        batches[4 * epoch : 4 * epoch + 4].flat[:60] = rng.permutation(60)
    state = initial_state(n_items=280, emb_dim=12, hidden_dim=8, bias_offset=-4.0, seed=1, dtype=np.float64)
    for name, array in state.items():
        if name.startswith("batchnorm") or name == "bottleneck.bias":  # zeros and ones would hide one that is forgotten
            array += rng.random(array.shape) / 10
    return {"user_items": corner, "batches": batches, **state}


class Autoencoder(nn.Module):
    """The task's network without dropout; its parameters have the names of our model file."""

    def __init__(self, n_items, emb_dim, hidden_dim):
        super().__init__()
        self.embedding = nn.Embedding(n_items, emb_dim)
        self.batchnorm1 = nn.BatchNorm1d(emb_dim)
        self.bottleneck = nn.Linear(emb_dim, hidden_dim)
        self.batchnorm2 = nn.BatchNorm1d(hidden_dim)
        self.output = nn.Linear(hidden_dim, n_items)

    def forward(self, x):
        h1 = self.batchnorm1(F.relu(sum_of_rows(x, self.embedding.weight)))
        h2 = self.batchnorm2(F.relu(self.bottleneck(h1)))
        return self.output(h2)


def network(user_items, batches, **state):
    """Of the first step the loss and the gradients; of all 20 the losses, and every parameter and buffer after them."""
    emb_dim, hidden_dim = state["embedding.weight"].shape[1], state["bottleneck.weight"].shape[0]
    model = Autoencoder(user_items.shape[1], emb_dim, hidden_dim).to(torch.from_numpy(user_items).dtype)
    model.load_state_dict({name: torch.tensor(array) for name, array in state.items()}, strict=False)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for batch in batches:
        x = torch.from_numpy(user_items[batch[batch >= 0]])
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(model(x), x, reduction="sum")
        loss.backward()
        if not losses:
            grads = arrays(**{f"grad.{name}": w.grad for name, w in model.named_parameters()})
        optimizer.step()
        losses.append(loss.item())
    trained = {f"trained.{name}": array for name, array in model.state_dict().items() if name in state}
    scores = model.eval()(torch.from_numpy(user_items[14:18]))
    return grads | arrays(scores=scores, **trained) | {"losses": np.array(losses)}


STEPS, USERS, SHOWN, HALF = 20, 16, 36045, 32768  # keep rates of .55 and .5, in 65536ths


def denoising_inputs(rng):
    """Likes, who is in each of 20 batches, and the masks of each step, which are ours."""
    user_items, batches = corner(rng, 70)
    state = denoising_network.initial_state(70, hidden_dim=7, bias_offset=-2.0, seed=1, dtype=np.float64)
    state["normalization.bias"] += rng.random(7) / 10
    keeps = np.stack([draw_mask((USERS, 7), HALF, (0, 0, step, 2)) for step in range(STEPS)])
    return {"user_items": user_items, "batches": batches, "shown": shown(user_items, batches), "keeps": keeps, **state}


def variational_inputs(rng):
    user_items, batches = corner(rng, 70)
    state = variational_network.initial_state(70, hidden_dim=7, latent_dim=3, seed=1, dtype=np.float64)
    for name, array in state.items():
        if name.endswith("bias"):
            array += rng.random(array.shape) / 10
    noise = np.stack([draw_noise((USERS, 3), (0, 0, step, 2)) for step in range(STEPS)]).astype(float)
    return {"user_items": user_items, "batches": batches, "shown": shown(user_items, batches), "noise": noise, **state}


def deep_inputs(rng):
    """As the denoising network's, with masks of the code for x and for the refed f(x), and ratings of what is liked."""
    user_items, batches = corner(rng, 70)
    state = deep_network.initial_state(70, (7, 5, 3), bias_offset=-1.0, seed=1, dtype=np.float64)
    for name, array in state.items():
        if name.endswith("bias"):
            array += rng.random(array.shape) / 10
    keeps = np.stack([[draw_mask((USERS, 3), HALF, (0, 0, step, refed)) for refed in (1, 2)] for step in range(STEPS)])
    ratings = user_items * rng.integers(1, 6, user_items.shape)
    return {"user_items": user_items, "ratings": ratings, "batches": batches, "keeps": keeps, **state}


def corner(rng, n_items):
    """60 users' likes of the most popular items, one user without any, and the users of each batch."""
    user_items = load("ml-latest-small").user_items
    popular = np.sort(np.argsort(-user_items.sum(axis=0), kind="stable")[:n_items])
    corner = user_items[:60][:, popular].toarray()
    corner[17] = 0
    return corner, np.stack([rng.permutation(60)[:USERS] for _ in range(STEPS)])


def shown(user_items, batches):
    """Which likes each step shows the network, (steps, batch, n_items): one draw a like, in the rows' order."""
    masks = np.zeros((STEPS, USERS, user_items.shape[1]), bool)
    for step, batch in enumerate(batches):
        liked = user_items[batch] > 0
        masks[step][liked] = draw_mask((1, liked.sum()), SHOWN, (0, 0, step, 1))[0]
    return masks


class Denoising(nn.Module):
    """The denoising network; what is normalized is the row, before a dense product."""

    def __init__(self, n_items, hidden_dim):
        super().__init__()
        self.embedding = nn.Embedding(n_items, hidden_dim)
        self.normalization = nn.ParameterDict({"bias": nn.Parameter(torch.zeros(hidden_dim))})
        self.output = nn.Linear(hidden_dim, n_items)

    def forward(self, x, keeps=None):
        h = torch.tanh(F.linear(F.normalize(x, dim=1), self.embedding.weight.T, self.normalization["bias"]))
        if keeps is not None:
            h = h * keeps * 2
        return self.output(h)

    def loss(self, x, shown, keeps, step):
        weight = 0.3 + 0.7 * x
        return F.binary_cross_entropy_with_logits(self(x * shown, keeps), x, weight, reduction="sum")


class Variational(nn.Module):
    """The variational network, with beta rising to 0.2 over 10 steps."""

    def __init__(self, n_items, hidden_dim, latent_dim):
        super().__init__()
        self.embedding = nn.Embedding(n_items, hidden_dim)
        self.normalization = nn.ParameterDict({"bias": nn.Parameter(torch.zeros(hidden_dim))})
        self.encoder = nn.Linear(hidden_dim, 2 * latent_dim)
        self.decoder = nn.Linear(latent_dim, hidden_dim)
        self.output = nn.Linear(hidden_dim, n_items)

    def code(self, x):
        h1 = torch.tanh(F.linear(F.normalize(x, dim=1), self.embedding.weight.T, self.normalization["bias"]))
        return self.encoder(h1).chunk(2, dim=1)

    def decode(self, z):
        return self.output(torch.tanh(self.decoder(z)))

    def forward(self, x):
        return self.decode(self.code(x)[0])

    def loss(self, x, shown, noise, step):
        mean, log_var = self.code(x * shown)
        log_p = F.log_softmax(self.decode(mean + torch.exp(log_var / 2) * noise), dim=1)
        kl = torch.sum((torch.exp(log_var) + mean**2 - 1 - log_var) / 2)
        return -torch.sum(log_p * x) + 0.2 * min(1, step / 10) * kl


class Deep(nn.Module):
    """The deep network; all inputs are dense."""

    def __init__(self, n_items, widths):
        super().__init__()
        mirrored = [*widths, *reversed(widths[:-1])]
        self.embedding = nn.Embedding(n_items, widths[0])
        self.bias = nn.ParameterDict({"bias": nn.Parameter(torch.zeros(widths[0]))})
        for i, (inner, outer) in enumerate(itertools.pairwise(mirrored), start=1):
            self.add_module(f"dense{i}", nn.Linear(inner, outer))
        self.n_dense = len(mirrored) - 1
        self.output = nn.Linear(widths[0], n_items)

    def forward(self, x, keeps=None):
        h = F.selu(F.linear(x, self.embedding.weight.T, self.bias["bias"]))
        for i in range(1, self.n_dense + 1):
            h = F.selu(getattr(self, f"dense{i}")(h))
            if i == self.n_dense // 2 and keeps is not None:
                h = h * keeps * 2
        return self.output(h)


def deep(user_items, ratings, batches, keeps, **state):
    """Of likes without refeeding as of the others; with it, of likes and of ratings, what 20 x 2 steps come to."""
    widths = (7, 5, 3)
    plain = trained_by(PlainDeep(70, widths), user_items, batches, [None] * STEPS, keeps[:, 0], state)
    likes = refed(Deep(70, widths), user_items, batches, keeps, state, of_ratings=False)
    rated = refed(Deep(70, widths), ratings, batches, keeps, state, of_ratings=True)
    named = {"likes": likes, "ratings": rated}
    return plain | {f"{kind}.{name}": array for kind, found in named.items() for name, array in found.items()}


class PlainDeep(Deep):
    def loss(self, x, shown, keeps, step):
        return F.binary_cross_entropy_with_logits(self(x, keeps), x, reduction="sum")


def refed(model, rows, batches, keeps, state, of_ratings):
    """Each step on x, and then one on f(x) as input and as target."""
    model = model.to(torch.from_numpy(rows).dtype)
    model.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def loss_of(y, x, rated):
        if of_ratings:
            return F.mse_loss(y[rated], x[rated])
        return F.binary_cross_entropy_with_logits(y, x, reduction="sum")

    losses = []
    for batch, (keeps1, keeps2) in zip(batches, torch.from_numpy(keeps)):
        x = torch.from_numpy(rows[batch])
        optimizer.zero_grad()
        y = model(x, keeps1)
        loss = loss_of(y, x, x > 0)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        answer = (y if of_ratings else torch.sigmoid(y)).detach()
        optimizer.zero_grad()
        loss_of(model(answer, keeps2), answer, ...).backward()
        optimizer.step()
    return arrays(**{f"trained.{name}": w for name, w in model.named_parameters()}) | {"losses": np.array(losses)}


def denoising(user_items, batches, shown, keeps, **state):
    model = Denoising(*state["embedding.weight"].shape)
    return trained_by(model, user_items, batches, shown, keeps, state)


def variational(user_items, batches, shown, noise, **state):
    model = Variational(*state["embedding.weight"].shape, state["decoder.weight"].shape[1])
    return trained_by(model, user_items, batches, shown, noise, state)


def trained_by(model, user_items, batches, shown, random, state):
    """Of the first step the loss and the gradients; of all 20 the losses, and every parameter after them."""
    model = model.to(torch.from_numpy(user_items).dtype)
    model.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for step, batch in enumerate(batches):
        optimizer.zero_grad()
        x = torch.from_numpy(user_items[batch])
        loss = model.loss(
            x, None if shown[step] is None else torch.from_numpy(shown[step]), torch.from_numpy(random[step]), step
        )
        loss.backward()
        if not losses:
            grads = arrays(**{f"grad.{name}": w.grad for name, w in model.named_parameters()})
        optimizer.step()
        losses.append(loss.item())
    scores = model(torch.from_numpy(user_items[14:18]))
    trained = {f"trained.{name}": array for name, array in model.state_dict().items()}
    return grads | arrays(scores=scores, **trained) | {"losses": np.array(losses)}


CASES = {
    "embedding": (embedding_inputs, embedding),
    "linear": (linear_inputs, linear),
    "relu": (relu_inputs, relu),
    "batchnorm": (batchnorm_inputs, batchnorm),
    "dropout": (dropout_inputs, dropout),
    "sigmoid_bce": (sigmoid_bce_inputs, sigmoid_bce),
    "weighted_bce": (weighted_bce_inputs, weighted_bce),
    "multinomial": (multinomial_inputs, multinomial),
    "confidence_bce": (confidence_bce_inputs, confidence_bce),
    "confidence_multinomial": (confidence_multinomial_inputs, multinomial),
    "confidence_embedding": (confidence_embedding_inputs, confidence_embedding),
    "selu": (selu_inputs, selu),
    "masked_squared_error": (masked_squared_error_inputs, masked_squared_error),
    "soft_bce": (soft_bce_inputs, soft_bce),
    "tanh": (tanh_inputs, tanh),
    "input_normalization": (input_normalization_inputs, input_normalization),
    "gaussian_sample": (gaussian_sample_inputs, gaussian_sample),
    "adam": (adam_inputs, adam),
    "elsa": (elsa_inputs, elsa),
    "network": (network_inputs, network),
    "denoising": (denoising_inputs, denoising),
    "variational": (variational_inputs, variational),
    "deep": (deep_inputs, deep),
}


def answers(case: str, inputs: dict[str, np.ndarray], dtype: str) -> dict[str, np.ndarray]:
    """What PyTorch answers to `inputs` when it computes in `dtype`."""
    return CASES[case][1](**{name: x.astype(dtype) if x.dtype.kind == "f" else x for name, x in inputs.items()})


def main():
    for case, (draw_inputs, _) in CASES.items():
        inputs = draw_inputs(np.random.default_rng(0))
        stored = {f"inputs.{name}": x for name, x in inputs.items()}
        for dtype in ("float32", "float64"):
            stored |= {f"{dtype}.{name}": x for name, x in answers(case, inputs, dtype).items()}
        np.savez_compressed(FOLDER / f"{case}.npz", torch_version=torch.__version__, **stored)


if __name__ == "__main__":
    main()
