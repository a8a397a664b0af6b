"""What will happen later in the emulated AWS: a heap of due events.

Invariants: events run in the order of their due time, then of their scheduling; an event that is scheduled while
others run may run in the same pass when it is due. It holds names of actions, not functions, so that it can be saved.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from typing import Any

Actions = Mapping[str, Callable[..., None]]


class Timeline:
    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str, tuple[Any, ...]]] = []
        self._sequence = 0

    def at(self, due: float, action: str, *subjects: Any) -> None:
        """Schedules `action(*subjects)` for `due` (seconds since the epoch)."""
        self._sequence += 1
        heapq.heappush(self._heap, (due, self._sequence, action, subjects))

    def run(self, now: float, actions: Actions) -> int:
        """Runs everything that is due and returns how many events that were."""
        done = 0
        while self._heap and self._heap[0][0] <= now:
            _, _, action, subjects = heapq.heappop(self._heap)
            actions[action](*subjects)
            done += 1
        return done

    def __len__(self) -> int:
        return len(self._heap)
