"""The processes of the service: all in one, the API alone, the dispatcher alone."""
