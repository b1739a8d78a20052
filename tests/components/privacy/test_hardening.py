"""What is wrong with CrypTen as it comes, repeated; and that none of it is left under the hardening."""

import json
import subprocess
import sys

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from scipy.stats import chisquare

from components.privacy.streams import KeyExchange, Stream
from tests.components.privacy.seats import DEALER, ROOT, run

ATTACK = """
drawn, opened = [], []
def tapped(original):
    def tap(*arguments, **options):
        result = original(*arguments, **options)
        drawn.append(result.clone())
        return result
    return tap
wire = session._wire
if rank == 0:
    if insecure:
        from crypten.mpc.provider import tfp_provider
        tfp_provider.generate_random_ring_element = tapped(tfp_provider.generate_random_ring_element)
    else:
        wire.streams[parties].ring = tapped(wire.streams[parties].ring)
    reduced = wire.all_reduce
    def listening(*arguments, **options):
        result = reduced(*arguments, **options)
        opened.append(result)
        return result
    wire.all_reduce = listening
secret = np.random.default_rng(5).integers(-15, 15, (6, 4)).astype(float)
vectors = secret if rank == 1 else np.zeros((0, 4))
session.score(vectors, np.zeros(len(vectors), dtype=int), DotHead(np.ones(4)) if rank == 0 else None, 0)
if rank == 0:
    guess = (opened[0][0] + drawn[0]).numpy() / 2**16  # what was opened is input - mask
    say(recovered=bool((guess == secret).all()), close=int((guess == secret).sum()))
"""


def test_rank_0_recovers_the_inputs_under_the_default_provider_and_not_under_ours():
    assert run([ATTACK, ATTACK, DEALER], insecure=True)[0]["recovered"]
    ours = run([ATTACK, ATTACK, DEALER])[0]
    assert not ours["recovered"] and ours["close"] == 0


NOISE = """
import torch
torch.manual_seed(0)
with join(seat) as session:
    import crypten
    from crypten.mpc.primitives import BinarySharedTensor
    masks = {"zeros": session._zero((4,)), "bits": BinarySharedTensor.PRZS((4,)).share}
    provider = crypten.mpc.get_default_provider()
    masks["triples"] = provider.generate_additive_triple((4,), (4,), "mul")[0].share
    say(**{name: mask.tolist() for name, mask in masks.items()})
"""


@pytest.mark.parametrize("insecure", [True, False])
@pytest.mark.slow
def test_manual_seed_has_no_effect_on_shares_and_two_runs_never_share_a_stream(insecure):
    first, second = (run([NOISE, NOISE, DEALER], insecure=insecure) for _ in range(2))
    for rank in range(2):
        for name in ("zeros", "bits", "triples"):
            equal = [a == b for a, b in zip(first[rank][name], second[rank][name], strict=True)]
            assert all(equal) if insecure else not any(equal), (rank, name)


FORKS = """
import json, os, torch
from components.privacy.streams import Stream
inherited, theirs = Stream(), torch.Generator().manual_seed(1)
def drawn():
    try:
        refused = bool(inherited.ring((1,)).numel() == 0)
    except RuntimeError:
        refused = True
    return refused, Stream().ring((4,)).tolist(), torch.randint(2**62, (4,), generator=theirs).tolist()
results = []
for child in range(2):
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, json.dumps(drawn()).encode())
        os._exit(0)
    os.wait()
    results.append(json.loads(os.read(reading, 65536)))
print(json.dumps(results))
"""


def test_forked_parties_never_share_noise():
    said = subprocess.run(
        [sys.executable, "-c", FORKS], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout
    first, second = json.loads(said)
    assert first[0] and second[0], "a stream from before the fork was used after it"
    assert not set(first[1]) & set(second[1])
    assert first[2] == second[2], (
        "torch's generators, which CrypTen draws from, are expected to share their noise"
    )


UNMASK = """
import torch
from components.privacy.streams import Stream
Stream.ring = lambda self, size: torch.zeros(tuple(size), dtype=torch.int64)
"""

TRANSCRIPT = """
wire = session._wire
seen = []
reduced = wire.all_reduce
def listening(*arguments, **options):
    result = reduced(*arguments, **options)
    seen.append(result[0].clone() if isinstance(result, list) else result.clone())
    return result
wire.all_reduce = listening
secret = np.linspace(-15, 15, 4000 * 8).reshape(4000, 8)
vectors = secret if rank == 0 else np.zeros((0, 8))
session.score(vectors, np.zeros(len(vectors), dtype=int), DotHead(np.zeros(8)) if rank == 1 else None, 1)
if rank == 1:
    say(masked=seen[0].reshape(-1).tolist())
"""


def suspicious(masked: list[int]) -> bool:
    """Whether what a party saw deviates from uniform numbers, or follows the other's inputs."""
    values = np.array(masked, dtype=np.int64)
    counts = np.bincount(values.view(np.uint8), minlength=256)
    follows = np.corrcoef(values.astype(float), np.linspace(-60, 60, len(values)))[0, 1]
    return bool(chisquare(counts).pvalue < 1e-6 or abs(follows) > 0.05)


@pytest.mark.slow
def test_sanity_check_a_partys_transcript_does_not_follow_the_others_inputs():
    """Statistical, so it proves nothing: it would catch masks that were forgotten."""
    transcript = "with join(seat) as session:\n" + "".join(
        f"    {line}\n" for line in TRANSCRIPT.splitlines()
    )
    assert suspicious(run([UNMASK + transcript, UNMASK + transcript, UNMASK + DEALER])[1]["masked"])
    assert not suspicious(run([TRANSCRIPT, TRANSCRIPT, DEALER])[1]["masked"])


def test_the_stream_is_aes_256_in_counter_mode():
    key = bytes(range(32))
    blocks = (
        Cipher(algorithms.AES256(key), modes.ECB())
        .encryptor()
        .update(b"".join(counter.to_bytes(16, "big") for counter in range(5000)))
    )
    stream = Stream(key)
    drawn = np.concatenate(
        [stream.ring(size).numpy().reshape(-1) for size in [(3,), (2, 4), (0,), (1, 9, 989), ()]]
    )
    assert drawn.tobytes() == blocks[: drawn.nbytes]
    assert set(Stream(key).bits((1000,), 1).tolist()) == {0, 1}


def test_only_the_two_who_agree_share_a_stream():
    first, second, third = (KeyExchange() for _ in range(3))
    ours, theirs = first.agree(second.public, "0 1"), second.agree(first.public, "0 1")
    assert ours.ring((4,)).tolist() == theirs.ring((4,)).tolist()
    assert (
        third.agree(first.public, "0 1").ring((4,)).tolist()
        != first.agree(second.public, "0 1").ring((4,)).tolist()
    )
    assert (
        first.agree(second.public, "0 2").ring((4,)).tolist()
        != first.agree(second.public, "0 1").ring((4,)).tolist()
    )
