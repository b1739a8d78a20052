"""What the results mean: comparisons, verdicts and tables."""
