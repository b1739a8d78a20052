"""Keeps tests to themselves: they use nobody's W&B account, ledger or results. Shares them out among processes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def nobodys_accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    empty = tmp_path_factory.mktemp("nobody")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "ADAPTUNE_HOME", "ADAPTUNE_LEDGER"):
            patch.delenv(name, raising=False)
        patch.setenv("NETRC", str(Path(empty) / "netrc"))
        patch.setenv("WANDB_CONFIG_DIR", str(empty))
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, so that what they share is set up once.

    Tests with a group of their own, which are the long ones, come first, so that none is left for the end.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.location[0]))
