"""An API server in memory: versions, generations, finalizers, merge patches and the status subresource."""

from __future__ import annotations

import copy
import itertools
import re
from typing import Any

from sandbox.standin.kube import KubeError, Object


class MemoryCluster:
    """Objects by path. Deleting an object with finalizers only marks it, as the real one does."""

    def __init__(self) -> None:
        self._objects: dict[str, Object] = {}
        self._versions = itertools.count(1)
        self.writes = 0

    def get(self, path: str) -> Object | None:
        if path in self._objects:
            return copy.deepcopy(self._objects[path])
        kind = re.escape(path.rsplit("/", 1)[1])
        if not re.search(r"/v[0-9a-z]+/[a-z]+$", path):
            return None
        pattern = re.compile(re.escape(path.rsplit("/", 1)[0]) + rf"/(namespaces/[^/]+/)?{kind}/[^/]+$")
        return {"items": [copy.deepcopy(item) for key, item in self._objects.items() if pattern.match(key)]}

    def create(self, path: str, content: Object) -> Object:
        path = f"{path}/{content['metadata']['name']}"
        if path in self._objects:
            raise KubeError(409, f"{path} already exists")
        item = copy.deepcopy(content)
        if match := re.search("/namespaces/([^/]+)/", path):
            item["metadata"]["namespace"] = match[1]
        number = next(self._versions)
        item["metadata"] |= {"uid": f"uid-{number}", "resourceVersion": str(number), "generation": 1}
        self._objects[path] = item
        return copy.deepcopy(item)

    def patch(self, path: str, content: Object) -> Object:
        status, path = path.endswith("/status"), path.removesuffix("/status")
        if path not in self._objects:
            raise KubeError(404, f"{path} not found")
        item = self._objects[path]
        wanted = content.get("metadata", {}).get("resourceVersion", item["metadata"]["resourceVersion"])
        if wanted != item["metadata"]["resourceVersion"]:
            raise KubeError(409, f"{path} has changed")
        changes = {"status": content["status"]} if status else {k: v for k, v in content.items() if k != "status"}
        merged = _merge(item, changes)
        if merged != item:
            self.writes += 1
            if merged.get("spec") != item.get("spec"):
                merged["metadata"]["generation"] += 1
            merged["metadata"]["resourceVersion"] = str(next(self._versions))
        self._objects[path] = merged
        if "deletionTimestamp" in merged["metadata"] and not merged["metadata"].get("finalizers"):
            del self._objects[path]
        return copy.deepcopy(merged)

    def delete(self, path: str) -> None:
        item = self._objects[path]
        if item["metadata"].get("finalizers"):
            item["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            item["metadata"]["resourceVersion"] = str(next(self._versions))
        else:
            del self._objects[path]


def _merge(old: Any, changes: Any) -> Any:
    if not isinstance(changes, dict):
        return copy.deepcopy(changes)
    merged = copy.deepcopy(old) if isinstance(old, dict) else {}
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged
