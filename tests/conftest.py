"""Keeps tests to themselves: they use nobody's W&B account, ledger or results."""

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
