"""What holds for every test: workers' numerics are fixed before torch is imported."""

import workers  # noqa: F401 - fixes MKL's mode first
