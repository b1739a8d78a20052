"""Keeping what users did private: so far the way to CrypTen, on which secure evaluation stands."""
