"""The dispatcher: what runs next, decided in pure code and done at the edge."""
