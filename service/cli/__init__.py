"""The command line: thin commands over the public client; nothing heavy is imported at start."""
