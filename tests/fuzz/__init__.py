"""The served API under generated requests: what is sent, what is checked, what came of it."""
