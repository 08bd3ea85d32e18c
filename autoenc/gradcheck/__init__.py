"""Gradient checks: whether each backward is the derivative of its forward, with mutants that test the check."""

from autoenc.gradcheck.cases import CASES, check_direction, check_full_size, check_layer, names_of
from autoenc.gradcheck.check import SMALLEST, STEP, TOLERANCE, TensorCheck, check_backward, compare, gradient_check

__all__ = [
    "CASES",
    "SMALLEST",
    "STEP",
    "TOLERANCE",
    "TensorCheck",
    "check_backward",
    "check_direction",
    "check_full_size",
    "check_layer",
    "compare",
    "gradient_check",
    "names_of",
]
