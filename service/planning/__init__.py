"""Planning: what a sweep would take and be able to show, and when it will have ended; all pure."""
