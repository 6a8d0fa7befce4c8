"""Scales of initial weights, which multiply standard normal draws that arms share."""

import math


def he_std(fan_in: int) -> float:
    """sqrt(2 / fan_in): He et al. 2015, arXiv 1502.01852, equation 10."""
    return math.sqrt(2.0 / fan_in)


def sussillo_abbott_std(fan_in: int) -> float:
    """G / sqrt(N) with g = sqrt(2) exp(1.2 / (max(N, 6) - 2.4)): the random-walk init for ReLU.

    Sussillo & Abbott 2014, arXiv 1412.6558; the formula as PAPER states it (from memory).
    """
    gain = math.sqrt(2.0) * math.exp(1.2 / (max(fan_in, 6) - 2.4))
    return gain / math.sqrt(fan_in)
