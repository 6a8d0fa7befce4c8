"""Trains packs on Ray. Importing it fixes MKL's reproducible mode, before anything imports torch.

Without it MKL's small products depend on the alignment of their operands, so on a lane's place in
the pack (seen at 5 x 13 x 10); with it they do not, at no cost that could be measured.
"""

import os

MKL_MODE = os.environ.setdefault("MKL_CBWR", "AUTO")
