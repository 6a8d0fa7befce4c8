"""The dashboard: pages made on the server from counters, which refresh themselves."""
