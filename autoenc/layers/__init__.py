"""The layers, one file each: forward, and directly under it the backward, in plain NumPy.

Read them in the order in which the network stacks them; Multinomial is the other loss.
"""

from autoenc.layers.embedding import SparseEmbedding
from autoenc.layers.relu import ReLU
from autoenc.layers.batchnorm import BatchNorm1d
from autoenc.layers.dropout import Dropout
from autoenc.layers.linear import Linear
from autoenc.layers.sigmoid_bce import SigmoidBCE
from autoenc.layers.multinomial import Multinomial

__all__ = ["SparseEmbedding", "ReLU", "BatchNorm1d", "Dropout", "Linear", "SigmoidBCE", "Multinomial"]
