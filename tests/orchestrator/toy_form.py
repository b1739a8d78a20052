"""The form that the toy task's data is prepared in, as a module of its own."""

from components.data.synthetic import read
from tests.orchestrator.toy_task import files, versions, write

__all__ = ["files", "read", "versions", "write"]
