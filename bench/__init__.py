"""What the program costs, as ratios against a floor that is measured beside it. `python -m bench`; see README.md."""
