"""Trains packs on Ray. Importing it fixes how products are computed, before anything imports torch.

Without its reproducible mode MKL's small products depend on the alignment of their operands, so on
a lane's place in the pack (seen at 5 x 13 x 10); with it they do not, at no cost that could be
measured. cuBLAS repeats itself only with a workspace of its own, and torch refuses it without.
"""

import os

MKL_MODE = os.environ.setdefault("MKL_CBWR", "AUTO")
CUBLAS_MODE = os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
