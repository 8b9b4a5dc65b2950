"""What `doctor` looks at, a file for each part of the world. Nothing here writes, locks, or changes a mode."""
