"""The REST API: a route parses, calls one function, returns."""
