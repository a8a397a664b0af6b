"""The yardstick: the official client lists the same objects once, and does nothing with them."""

from __future__ import annotations

import json
import resource
import sys
from typing import Any

from kubernetes import client, config

from benchmarks.controller.fleet import INSTANCES


def main(kubeconfig: str) -> None:
    """List, then say what it cost since the process began."""
    config.load_kube_config(config_file=kubeconfig)  # type: ignore[no-untyped-call]  # the client leaves it open
    api = client.CustomObjectsApi()
    listed: Any = api.list_cluster_custom_object(INSTANCES.group, INSTANCES.version, INSTANCES.plural)
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "cpu": used.ru_utime + used.ru_stime,
        "peak": used.ru_maxrss * 1024 / 1e6,
        "objects": len(listed["items"]),
    }
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
