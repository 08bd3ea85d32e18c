"""The layers, one file each: forward, and directly under it the backward, in plain NumPy.

Read them in the order in which the task's network stacks them, up to SigmoidBCE; Multinomial is
the other loss. Behind it stands what the denoising, the variational and the deep network have besides.
"""

from autoenc.layers.embedding import SparseEmbedding
from autoenc.layers.relu import ReLU
from autoenc.layers.batchnorm import BatchNorm1d
from autoenc.layers.dropout import Dropout
from autoenc.layers.linear import Linear
from autoenc.layers.sigmoid_bce import SigmoidBCE
from autoenc.layers.multinomial import Multinomial
from autoenc.layers.input_dropout import InputDropout
from autoenc.layers.input_normalization import InputNormalization
from autoenc.layers.tanh import Tanh
from autoenc.layers.gaussian_sample import GaussianSample
from autoenc.layers.selu import SELU
from autoenc.layers.masked_squared_error import MaskedSquaredError
from autoenc.layers.soft_bce import SoftBCE

__all__ = [
    "SparseEmbedding",
    "ReLU",
    "BatchNorm1d",
    "Dropout",
    "Linear",
    "SigmoidBCE",
    "Multinomial",
    "InputDropout",
    "InputNormalization",
    "Tanh",
    "GaussianSample",
    "SELU",
    "MaskedSquaredError",
    "SoftBCE",
]
