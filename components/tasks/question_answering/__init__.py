"""User-specific question answering: answers from a passage, to the extent that this user wants."""
