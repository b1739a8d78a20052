"""CrypTen imports and computes; where it is missing, the message says how to install it."""

import subprocess
import sys

import pytest
import torch

from components.privacy.crypten_setup import CRYPTEN_VERSION, load_crypten


def test_the_installed_version_is_the_one_that_the_message_names():
    assert load_crypten().__version__ == CRYPTEN_VERSION


def test_what_is_encrypted_computes_and_decrypts():
    crypten = load_crypten()
    crypten.init()
    try:
        left = crypten.cryptensor(torch.tensor([1.5, 2.0, -3.25]))
        right = crypten.cryptensor(torch.tensor([3.0, -4.0, 2.0]))
        torch.testing.assert_close(
            (left + right).get_plain_text(), torch.tensor([4.5, -2.0, -1.25]), atol=1e-3, rtol=0
        )
        torch.testing.assert_close(
            (left * right).get_plain_text(), torch.tensor([4.5, -8.0, -6.5]), atol=1e-3, rtol=0
        )
    finally:
        crypten.uninit()


@pytest.mark.parametrize("missing", ["crypten", "omegaconf", "onnx"])
def test_a_missing_package_is_reported_with_the_commands_that_install_it(missing):
    program = f"""
import sys
sys.modules[{missing!r}] = None  # an import of it now fails as if it were not installed
from components.errors import AdaptuneError
from components.privacy.crypten_setup import load_crypten
try:
    load_crypten()
except AdaptuneError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert missing in said
    assert "pip install omegaconf onnx cryptography" in said
    assert f"pip install --no-deps crypten=={CRYPTEN_VERSION}" in said
