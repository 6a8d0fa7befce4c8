"""A drill of what `make up` started: every service is shot at while a sweep runs (`make drill`)."""
