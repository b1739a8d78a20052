"""Data sets: where they come from, and the prepared form that trials share.

Nothing heavier than numpy is imported here: planning reads digests on every call of the command line.
"""

from components.data import movielens, synthetic, table
from components.data.source import Source

SOURCES: dict[str, Source] = {"synthetic": synthetic, "movielens": movielens, "table": table}
