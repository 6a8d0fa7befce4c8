"""From a request's body to a plan, with every problem named at once."""

from service.spec.parse import parse
from service.spec.problems import Problem, SpecError

__all__ = ["Problem", "SpecError", "parse"]
