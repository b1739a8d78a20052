"""What was done, and where it lies: the ledger and the folders of results."""
