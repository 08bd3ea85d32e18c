"""The layers, one file each: forward, and directly under it the backward, in plain NumPy.

They are listed in reading order, which is also the order of the lessons: first those of the task's
network, from SparseEmbedding to SigmoidBCE, then the layers that only other networks use. A layer that
is called wrongly raises an error of one sentence: see `autoenc.safeguards`.
"""

from autoenc.layers.embedding import SparseEmbedding
from autoenc.layers.linear import Linear
from autoenc.layers.relu import ReLU
from autoenc.layers.batchnorm import BatchNorm1d
from autoenc.layers.dropout import Dropout
from autoenc.layers.sigmoid_bce import SigmoidBCE
from autoenc.layers.input_dropout import InputDropout
from autoenc.layers.input_normalization import InputNormalization
from autoenc.layers.tanh import Tanh
from autoenc.layers.weighted_bce import WeightedBCE
from autoenc.layers.multinomial import Multinomial
from autoenc.layers.confidence_bce import ConfidenceBCE
from autoenc.layers.confidence_multinomial import ConfidenceMultinomial
from autoenc.layers.confidence_embedding import ConfidenceEmbedding
from autoenc.layers.gaussian_sample import GaussianSample
from autoenc.layers.selu import SELU
from autoenc.layers.masked_squared_error import MaskedSquaredError
from autoenc.layers.soft_bce import SoftBCE
from autoenc.safeguards import safeguarded

__all__ = [
    "SparseEmbedding",
    "Linear",
    "ReLU",
    "BatchNorm1d",
    "Dropout",
    "SigmoidBCE",
    "InputDropout",
    "InputNormalization",
    "Tanh",
    "WeightedBCE",
    "Multinomial",
    "ConfidenceBCE",
    "ConfidenceMultinomial",
    "ConfidenceEmbedding",
    "GaussianSample",
    "SELU",
    "MaskedSquaredError",
    "SoftBCE",
]

for _name in __all__:
    safeguarded(globals()[_name])
