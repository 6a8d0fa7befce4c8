"""Lane-wise update rules: clip, add noise, optimise."""
