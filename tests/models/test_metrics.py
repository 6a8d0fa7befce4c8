"""Metrics are the numbers that thresholds say: k of n is k / n, and not its nearest float32."""

import torch

from models.deep_mlp.program import overall_mean
from models.neural_gpu.arithmetic import OPERATOR, PAD, ZERO
from models.neural_gpu.program import errors


def test_every_attainable_accuracy_meets_its_own_value_as_a_threshold() -> None:
    right = torch.tril(torch.ones(1001, 1000), diagonal=-1)  # row k holds k ones
    found = overall_mean(torch.split(right, 250, dim=1)).tolist()
    assert found == [k / 1000 for k in range(1001)]


def test_every_attainable_digit_error_meets_its_own_value_as_a_threshold() -> None:
    """32 wrong of 640 digits is an error of 0.05, so `at_most: 0.05` holds."""
    lanes, examples, digits = 641, 128, 5
    target = torch.full((lanes, examples, digits + 1), ZERO)
    target[..., -1] = PAD
    wrong = torch.tril(torch.ones(lanes, examples * digits), diagonal=-1).bool()  # lane k: k
    answer = torch.full_like(target, ZERO)
    answer[..., :digits] += wrong.reshape(lanes, examples, digits)
    logits = torch.nn.functional.one_hot(answer, OPERATOR + 1).float()
    digit, sequence = errors(logits, target)
    assert digit.tolist() == [k / 640 for k in range(lanes)]
    assert sequence.tolist() == [-(-k // digits) / examples for k in range(lanes)]
