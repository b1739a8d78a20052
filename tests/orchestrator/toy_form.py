"""The form that the toy task's data is prepared in, as a module of its own."""

from tests.orchestrator.toy_task import build_form as build
from tests.orchestrator.toy_task import files, versions

__all__ = ["build", "files", "versions"]
