"""Many clients at once: what they ask, how they were answered, how long it took."""
