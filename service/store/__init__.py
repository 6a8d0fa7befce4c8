"""The store: queue and truth. Functions take a session and never commit; the edge does, once."""
