"""Content recommendation: what a user would like, and what the user turns to next."""
