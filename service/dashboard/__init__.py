"""The dashboard: plain pages made on the server, refreshed by one small script of our own."""
