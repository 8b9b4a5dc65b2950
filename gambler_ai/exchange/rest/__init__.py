"""The HTTP face: routes, what stands around them, and the server they run in."""
