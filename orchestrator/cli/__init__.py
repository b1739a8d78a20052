"""The command line `adaptune`."""
