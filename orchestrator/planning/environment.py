"""What a result depends on beside its config: versions, hardware and the commit, if there is one."""

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("adaptune", "torch", "lightning", "ray", "numpy", "pyarrow")


@cache
def environment(accelerator: str) -> dict[str, Any]:
    """Return the surroundings of this process that trains on `accelerator`, for a result's provenance."""
    import torch

    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "packages": {name: _version(name) for name in PACKAGES},
        "device": torch.cuda.get_device_name() if accelerator == "gpu" else "cpu",
        "commit": _commit(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
