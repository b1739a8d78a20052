"""Keeping what users did private: evaluation over several parties' users by secure multi-party computation."""

ENCODER = "encoder.safetensors"
"""The open part of a private model; stands in place of its weights."""
PRIVATE_TASK = "recommendation"
"""The task whose models can stay with their owner."""
WHOLE = "model"
"""Name under which an encoder's file tells the digest of the model that it is a part of, and a hash of the rest."""
