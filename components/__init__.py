"""What is trained and measured: data, the personalisation core, tasks, metrics, baselines.

Nothing below this package knows of Ray, Weights & Biases, the orchestrator or the server.
"""
