"""What answers requests: the endpoint, the users' states and their events."""
