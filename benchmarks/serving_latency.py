"""How long the endpoint takes to answer one client: `python benchmarks/serving_latency.py --home runs`.

Serves the recommendation champion of the home folder as `adaptune serve` does. `recommend_first` includes the
replay of each known user's history, if the home folder has not served the version before. Events are posted for
made-up users.
"""

import argparse
import json
import time
import uuid
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import httpx
import numpy as np

from components.data.population import Population
from orchestrator.release.registry import Registry
from serve.app import free_port, local_endpoint


def main() -> None:
    """Measure and print one JSON document, in milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=Path("runs"))
    parser.add_argument("--alias", default="champion")
    parser.add_argument("--requests", type=int, default=500)
    options = parser.parse_args()
    version = Registry(options.home / "registry").version(f"recommendation/{options.alias}")
    users = list(islice(cycle(Population(version.folder)), options.requests))
    run = uuid.uuid4().hex[:8]
    start = time.perf_counter()
    with (
        local_endpoint(options.home, options.alias, ["recommendation"], free_port()) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        up = time.perf_counter() - start
        items = [item["id"] for item in post(client, "recommend", {"user": run, "k": 100})["items"]]

        def event(number: int) -> None:
            told = {"id": f"{number}", "timestamp": number, "content": items[number % len(items)]}
            events = [told | {"kind": "rated", "value": 1.0}]
            post(client, "events", {"user": f"{run}-{number % 10}", "events": events})

        print(
            json.dumps(
                {
                    "model": version.name,
                    "requests": options.requests,
                    "seconds_until_up": round(up, 1),
                    "healthz": timed(options.requests, lambda _: client.get("/healthz").raise_for_status()),
                    "recommend_first": timed(
                        options.requests, lambda n: post(client, "recommend", {"user": users[n], "k": 10})
                    ),
                    "recommend": timed(
                        options.requests, lambda n: post(client, "recommend", {"user": users[n], "k": 10})
                    ),
                    "event": timed(options.requests, event),
                },
                indent=2,
            )
        )


def post(client: httpx.Client, path: str, body: dict) -> dict:
    """Post to the endpoint and return what it answers."""
    return client.post(f"/v1/{path}", json=body).raise_for_status().json()


def timed(requests: int, call: Callable[[int], object]) -> dict[str, float]:
    """Return quantiles of the milliseconds that a call takes."""
    milliseconds = []
    for number in range(requests):
        start = time.perf_counter()
        call(number)
        milliseconds.append((time.perf_counter() - start) * 1000)
    quantiles = np.quantile(milliseconds, [0.5, 0.95])
    return {"p50_ms": round(float(quantiles[0]), 1), "p95_ms": round(float(quantiles[1]), 1)}


if __name__ == "__main__":
    main()
