"""AutoEncoder: the task's network behind the face that every recommender has.

Score
    h1 = batchnorm(relu(x @ W_embedding))                  x: the user's likes
    h2 = batchnorm(relu(h1 @ W_bottleneck + B_bottleneck))
    score = h2 @ W_output + B_output                       the logit: its sigmoid ranks the same

A user is nothing but a row of likes, so a newcomer is scored like anybody, without a new fit.

Explaining
    The first layer is a sum, so a user without the like j has x @ W_embedding - W_embedding[j]:
    one batch of as many rows as there are likes scores every leave-one-out exactly, at the cost of
    the small layers and of one row of W_output.

Source
    The task; the network's ancestor is Kuchaiev and Ginsburg 2017 (arXiv 1708.01715).

Example
    >>> likes = [[0, 1], [0, 1, 2], [1, 2], [3, 4], [3, 4, 5], [4, 5]] * 8
    >>> model = AutoEncoder(emb_dim=16, hidden_dim=8, bias_offset=-2, epochs=40, batch_size=16).fit(likes)
    >>> items, _ = model.recommend([[0], [3, 5]], N=1)         # what goes with 0? and with 3 and 5?
    >>> items.ravel()
    array([1, 4], dtype=int32)
"""

from __future__ import annotations

import numpy as np

from autoenc.callbacks import History, Validation, WeightAverage
from autoenc.models.base import BATCH_SIZE, Recommender
from autoenc.network import Network, initial_state, shapes_of_state
from autoenc.splits import holdout_users
from autoenc.threads import compute_threads
from autoenc.trainer import Trainer, default_epochs, on_backend


class AutoEncoder(Recommender):
    """The task's autoencoder; its defaults are the task's hyperparameters.

    Parameters
    ----------
    emb_dim, hidden_dim : int
        The widths of the embedding and of the bottleneck.
    dropout : float
        The share of values that training drops after each of the two.
    bias_offset : float
        Where the output's bias starts: sigmoid(-10) says that hardly anything is liked.
    loss : "bce" or "multinomial"
        The task's, or that of Mult-DAE (Liang et al. 2018), under which items compete.
    epochs : int, optional
        Passes over the users. By default as many as make 60 steps or more: 1 for MovieLens 10M.
    batch_size : int
    lr : float
        Adam's rate.
    schedule : "constant" or "cosine"
        Whether the rate stays or falls to 0 by the last epoch.
    early_stopping : str, optional
        A metric of `ranking.evaluate`, such as "ndcg@100". Then `validation_fraction` of the users
        are not trained on but validated after each epoch; training ends after `patience` epochs
        without a new best, and the best weights are kept.
    validation_fraction : float
    patience : int
    average_last : int
        The mean of the weights over so many last epochs is kept; 0 for the last weights. Not
        together with `early_stopping`.
    random_state : int, numpy.random.RandomState, numpy.random.Generator or None
        Names all that is random; the same int gives the same bits. None: another each time.
    backend : "numba" or "numpy"
    threads : int, optional
        How many compute; by default as many as numba has. The bits don't depend on it.

    Attributes
    ----------
    network_ : Network
        The layers, to look into.
    history_ : list of dict
        epoch, loss, lr and the validation's metric, an epoch each.
    seed_ : int
        What `random_state` came to.
    """

    def __init__(
        self,
        emb_dim=800,
        hidden_dim=400,
        dropout=0.5,
        bias_offset=-10.0,
        loss="bce",
        epochs=None,
        batch_size=256,
        lr=0.01,
        schedule="constant",
        early_stopping=None,
        validation_fraction=0.1,
        patience=5,
        average_last=0,
        random_state=0,
        backend="numba",
        threads=None,
    ):
        self.emb_dim = emb_dim
        self.hidden_dim = hidden_dim
        self.dropout = dropout
        self.bias_offset = bias_offset
        self.loss = loss
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.schedule = schedule
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.average_last = average_last
        self.random_state = random_state
        self.backend = backend
        self.threads = threads

    def fit(self, user_items, y=None, *, callbacks=()):
        """Train on who liked what.

        Parameters
        ----------
        user_items, y
            As `Recommender.fit` has them.
        callbacks : iterable of trainer.Callback
            Told what happens, such as `checkpoint.Checkpoints` or `trainer.ProgressBar`.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Where an argument or a hyperparameter is no good, or fewer than two users liked anything.
        FloatingPointError
            If training diverges.
        KeyboardInterrupt
            On Ctrl-C, after the step; the model is then fitted by the steps until there.
        """
        self._callbacks, self._interrupt = list(callbacks), None
        try:
            super().fit(user_items)
            if self._interrupt is not None:
                raise self._interrupt
            return self
        finally:
            del self._callbacks, self._interrupt

    def _fit(self, user_items):
        self.seed_ = _seed_of(self.random_state)
        n_items = user_items.shape[1]
        for name in ("emb_dim", "hidden_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if self.early_stopping is not None and self.average_last:
            raise ValueError(
                "early_stopping keeps the best weights and average_last a mean of the last; give one of them"
            )

        callbacks, validation = [], None
        if self.early_stopping is not None:
            split = holdout_users(user_items, self.validation_fraction, seed=self.seed_)
            user_items = split.train
            validation = Validation(split.fold_in, split.held_out, self.early_stopping, self.patience)
            callbacks.append(validation)
        if self.average_last:
            callbacks.append(WeightAverage(self.average_last))
        history = History(validation)
        callbacks += [history, *self._callbacks]  # a checkpoint is to hold what the others have just taken down

        state = initial_state(n_items, self.emb_dim, self.hidden_dim, self.bias_offset, self.seed_)
        n_users = int((np.diff(user_items.indptr) > 0).sum())
        self._trainer = Trainer(
            Network(state, self.dropout, self.loss),
            epochs=default_epochs(n_users, self.batch_size) if self.epochs is None else self.epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            schedule=self.schedule,
            seed=self.seed_,
            backend=self.backend,
            threads=self.threads,
            callbacks=callbacks,
        )
        self.history_ = history.epochs
        try:
            self._trainer.fit(user_items)
        except KeyboardInterrupt as interrupt:
            self._interrupt = interrupt  # `fit` raises it, when it has noted the items
        finally:
            self.network_ = self._trainer.model.network
            self._scorer = self._trainer.model

    def partial_fit(self, user_items, y=None):
        """One more epoch, on these likes; the first call fits for one epoch.

        The items must be those of the first fit. The optimizer goes on with its moments, but after
        `load` it starts anew.
        """
        if not self.__sklearn_is_fitted__():
            epochs, self.epochs = self.epochs, 1
            try:
                return self.fit(user_items)
            finally:
                self.epochs = epochs
        likes = self._as_fitted(user_items)
        trainer = self._trainer
        if trainer is None:
            trainer = self._trainer = Trainer(
                self.network_,
                epochs=0,
                batch_size=self.batch_size,
                lr=self.lr,
                seed=self.seed_,
                backend=self.backend,
                threads=self.threads,
            )
            self._scorer = trainer.model
        trainer.callbacks = []
        trainer.epochs = trainer.next_epoch + 1
        trainer.fit(likes)
        return self

    def user_embedding(self, user_items) -> np.ndarray:
        """The bottleneck of each user: (n_users, hidden_dim), for an index such as hnswlib or faiss.

        score = user_embedding @ network_.output.params["weight"].T + network_.output.params["bias"],
        so an index over the output's rows by inner product finds what `recommend` does.
        """
        user_items = self._as_fitted(user_items)
        with compute_threads(self.threads):
            return self._scorer.encode(user_items)

    @property
    def users_at_once(self) -> int:
        """How many users `ranking` has scored at a time."""
        return getattr(self._scorer, "users_at_once", BATCH_SIZE)

    def top_n(self, user_items, n: int):
        user_items = self._as_fitted(user_items)
        if not hasattr(self._scorer, "top_n"):
            return super().top_n(user_items, n)
        with compute_threads(self.threads):
            return self._scorer.top_n(user_items, n)

    def _score(self, user_items):
        with compute_threads(self.threads):
            return self._scorer.score(user_items)

    def _contributions(self, row, column):
        weight = self.network_.state["embedding.weight"]
        item_sum = row @ weight  # (1, emb_dim)
        without = np.concatenate([item_sum, item_sum - weight[row.indices]])  # (1 + n_likes, emb_dim)
        output = self.network_.state["output.weight"][column], self.network_.state["output.bias"][column]
        n_likes = np.append(row.nnz, np.full(row.nnz, row.nnz - 1))
        scores = self.network_.encode_sums(without, n_likes) @ output[0] + output[1]  # (1 + n_likes,)
        return scores[0] - scores[1:]

    def _arrays(self):
        return self.network_.state

    def _set_arrays(self, arrays):
        embedding, output = arrays.get("embedding.weight"), arrays.get("output.weight")
        if any(a is None or a.ndim != 2 or a.size == 0 or a.dtype.kind != "f" for a in (embedding, output)):
            raise ValueError("embedding.weight and output.weight must both be there, each a matrix of floats")
        shapes = shapes_of_state(*embedding.shape, output.shape[1])
        for name, shape in shapes.items():
            found = arrays.get(name)
            if found is None or found.shape != shape or found.dtype != embedding.dtype:
                what = "missing" if found is None else f"{found.dtype} of shape {found.shape}"
                raise ValueError(f"{name} must be {embedding.dtype} of shape {shape}, and is {what}")
        self.network_ = Network({name: arrays[name] for name in shapes}, self.dropout, self.loss)
        self._scorer = on_backend(self.backend, self.network_)
        self._trainer, self.history_, self.seed_ = None, [], _seed_of(self.random_state)
        return len(embedding)


def _seed_of(random_state) -> int:
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    return random_state
