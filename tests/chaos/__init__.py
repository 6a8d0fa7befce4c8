"""The whole system under fire: `python -m tests.chaos`, and a short version among the tests."""
