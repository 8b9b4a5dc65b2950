"""The pure kernel: facts in, state and decisions out. No clock, no socket, no file, no chance."""
