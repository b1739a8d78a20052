"""The one door to CrypTen, which needs help to install and to import.

CrypTen 0.4.1 is unmaintained: its metadata names a package that no longer exists, and it imports a module of
torch that has moved. Whoever needs it calls `load_crypten()` instead of importing it.
"""

import sys
from importlib import import_module
from types import ModuleType

from components.errors import AdaptuneError

CRYPTEN_VERSION = "0.4.1"

_REGISTRATION = "torch.onnx._internal.registration"
_REGISTRATION_NOW = "torch.onnx._internal.torchscript_exporter.registration"


def load_crypten() -> ModuleType:
    """Import CrypTen and return it; nothing is started, so call `crypten.init()` before computing with it.

    Raises `AdaptuneError`, with the commands that install it, where CrypTen or something it needs is missing.
    """
    try:
        sys.modules.setdefault(_REGISTRATION, import_module(_REGISTRATION_NOW))
        return import_module("crypten")
    except ImportError as error:
        raise AdaptuneError(
            f"secure computation needs CrypTen {CRYPTEN_VERSION}, and importing it failed: {error}.\n"
            "Install what it needs, and then it alone, because what it says it needs cannot be installed:\n"
            "    pip install omegaconf onnx cryptography\n"
            f"    pip install --no-deps crypten=={CRYPTEN_VERSION}"
        ) from error
