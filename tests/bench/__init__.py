"""Figures, not verdicts: `make bench` prints them. Each comparison is a ratio measured in one run on one broker."""
