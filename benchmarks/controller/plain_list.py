"""The yardstick: the official client lists the same objects once, and does nothing with them.

One JSON answer per line goes to standard output: one when everything is imported, one when the list is there.
"""

from __future__ import annotations

import sys
from typing import Any

from kubernetes import client, config

from benchmarks.controller.fleet import INSTANCES
from benchmarks.controller.usage import answer


def main(kubeconfig: str) -> None:
    """List, and say what that cost."""
    answer()
    config.load_kube_config(config_file=kubeconfig)  # type: ignore[no-untyped-call]  # the client leaves it open
    api = client.CustomObjectsApi()
    listed: Any = api.list_cluster_custom_object(INSTANCES.group, INSTANCES.version, INSTANCES.plural)
    answer()
    if not listed["items"]:
        sys.exit("the list is empty")


if __name__ == "__main__":
    main(sys.argv[1])
