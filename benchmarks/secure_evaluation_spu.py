"""What the same private models over private examples cost in SecretFlow SPU, for comparison.

    python -m venv spu && spu/bin/pip install spu==0.9.5
    python -m benchmarks.secure_evaluation --spu spu/bin/python

SPU needs other versions of numpy and jax than Adaptune, so this file is run by an interpreter of SPU's own and
imports nothing of Adaptune. Two processes of one machine, connected by TCP; prints one JSON document a model and
setting. Inputs are shared before the clock starts, and the outcome is put together after it has stopped.
"""

import argparse
import json
import os
import re
import socket
import sys
import tempfile
import time
from multiprocessing import get_context
from typing import Any

import numpy as np

DIMENSIONS = HIDDEN = 128
SETTINGS = {
    "SEMI2K, party 0 deals": "SEMI2K",
    "CHEETAH, no dealer": "CHEETAH",
}
"""Protocols by what is said of them. SEMI2K with a dealer of its own needs a server that the package lacks, and
without any it is refused ("unsupported beaver type"). CHEETAH takes minutes for a tenth of the examples."""


def models(vectors: Any, labels: Any) -> dict[str, tuple[Any, tuple[Any, ...], list[int]]]:
    """Return, by name, the function to compile, its inputs, and the counts in the clear."""
    import jax.numpy as jnp

    generator = np.random.default_rng(1)
    wide = generator.normal(size=(DIMENSIONS, HIDDEN)) / DIMENSIONS**0.5
    last = generator.normal(size=HIDDEN) / HIDDEN**0.5

    def counts(scores: Any, truth: Any) -> Any:
        predicted = (scores > 0).astype(jnp.int32)
        return jnp.stack([jnp.sum(predicted * truth), jnp.sum(predicted), jnp.sum(truth)])

    def dot(examples: Any, truth: Any, weights: Any) -> Any:
        return counts(examples @ weights, truth)

    def mlp(examples: Any, truth: Any, hidden: Any, weights: Any) -> Any:
        return counts(jnp.maximum(examples @ hidden, 0) @ weights, truth)

    def plainly(scores: Any) -> list[int]:
        predicted = scores > 0
        return [int((predicted & (labels == 1)).sum()), int(predicted.sum()), int(labels.sum())]

    plain = vectors @ last, np.maximum(vectors @ wide, 0) @ last
    return {
        "dot product": (dot, (vectors, labels, last), plainly(plain[0])),
        "MLP 128-128-1": (mlp, (vectors, labels, wide, last), plainly(plain[1])),
    }


def configured(protocol: str) -> Any:
    """Return SPU's settings: 64-bit shares, 18 bits after the point."""
    from spu import libspu

    config = libspu.RuntimeConfig(getattr(libspu.ProtocolKind, protocol), libspu.FieldType.FM64, 18)
    assert config.beaver_type == libspu.RuntimeConfig.BeaverType.TrustedFirstParty
    config.enable_pphlo_profile = True
    return config


def take_part(rank: int, ports: list[int], protocol: str, executable: bytes, shares: Any, runs: int) -> Any:
    """Compute at one party; return shares of the outcome, seconds of each run, and bytes, sends and CPU of one."""
    import spu
    from spu import libspu

    description = libspu.link.Desc()
    description.recv_timeout_ms = 600_000
    for party, port in enumerate(ports):
        description.add_party(f"party {party}", f"127.0.0.1:{port}")
    link = libspu.link.create_brpc(description, rank)
    runtime = spu.Runtime(link, configured(protocol))
    program = libspu.Executable()
    program.ParseFromString(executable)
    for name, share in shares.items():
        runtime.set_var(name, share)
    seconds, cpu = [], []
    with tempfile.TemporaryFile() as log:
        out = os.dup(1), os.dup(2)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        for _ in range(runs):
            link.barrier()
            cpu_start, start = time.process_time(), time.perf_counter()
            runtime.run(program)
            seconds.append(time.perf_counter() - start)
            cpu.append(time.process_time() - cpu_start)
        for kept, descriptor in zip(out, (1, 2), strict=True):
            os.dup2(kept, descriptor)
        log.seek(0)
        told = re.findall(r"total send bytes (\d+).*?send actions (\d+)", log.read().decode())
    link.stop_link()
    sent, sends = (int(number) for number in told[-1])
    return [runtime.get_var(name) for name in program.output_names], seconds, sent, sends, min(cpu)


def measure(
    setting: str, model: str, function: Any, inputs: Any, wanted: list[int], runs: int
) -> dict[str, Any]:
    """Compile, share, run both parties, and open."""
    import spu
    from spu import libspu
    from spu.utils import frontend

    config = configured(SETTINGS[setting])
    names = [f"input {number}" for number in range(len(inputs))]
    secret = [libspu.Visibility.VIS_SECRET] * len(inputs)
    converted = [np.asarray(each, np.float32 if each.dtype == np.float64 else np.int32) for each in inputs]
    executable, _ = frontend.compile(
        frontend.Kind.JAX, function, converted, {}, names, secret, lambda out: ["counts"]
    )
    io = spu.Io(2, config)
    shared = {
        name: io.make_shares(each, libspu.Visibility.VIS_SECRET)
        for name, each in zip(names, converted, strict=True)
    }
    ports = [free_port(), free_port()]
    with get_context("spawn").Pool(2) as pool:
        found = [
            pool.apply_async(
                take_part,
                (rank, ports, SETTINGS[setting], executable.SerializeToString(),
                 {name: share[rank] for name, share in shared.items()}, runs),
            )
            for rank in range(2)
        ]  # fmt: skip
        parties = [each.get(600) for each in found]
    opened = io.reconstruct([parties[rank][0][0] for rank in range(2)])
    return {
        "model": model,
        "parties": 2,
        "by": f"SPU {spu.__version__}, {setting}",
        "seconds": [round(each, 3) for each in parties[0][1]],
        "cpu": parties[0][4],
        "bytes": max(party[2] for party in parties),
        "rounds": parties[0][3],
        "counts": [int(each) for each in opened],
        "plain counts": wanted,
    }


def free_port() -> int:
    """Return a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def main() -> None:
    """Measure all settings and models."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS)[:1])
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(options.examples, DIMENSIONS))
    labels = generator.integers(0, 2, options.examples)
    for setting in options.settings:
        for model, (function, inputs, wanted) in models(vectors, labels).items():
            try:
                row = measure(setting, model, function, inputs, wanted, options.runs)
            except RuntimeError as error:  # of SPU's own library, which tells what it cannot do
                row = {"model": model, "by": setting, "failed": str(error).split("stacktrace")[0].strip()}
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    sys.exit(main())
