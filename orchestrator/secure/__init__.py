"""Evaluation over several parties' private users: the party file, the seats that run, what is said of the result."""
