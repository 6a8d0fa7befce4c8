"""Lifts an experiment written for one network over the lanes of a tile, by torch.func.vmap."""
