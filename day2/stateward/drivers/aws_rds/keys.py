"""Whether the key of an encrypted restore point can still decrypt it.

A snapshot whose KMS key is not `Enabled` cannot be restored (RDS user guide, restoring from a DB snapshot). RDS does
not say so; KMS has to be asked. A key that cannot be read is *unreadable*, which is neither usable nor unusable.
"""

from __future__ import annotations

from enum import Enum

from stateward.api.errors import StewardError
from stateward.drivers.aws_rds.errors import DENIED, FAILURES, NOT_FOUND, code_of
from stateward.drivers.aws_rds.session import AccountSession


class KeyState(Enum):
    """What KMS says of a key."""

    USABLE = "Usable"
    UNUSABLE = "Unusable"
    """Disabled, pending deletion, or gone."""
    UNREADABLE = "Unreadable"


class KeyRing:
    """The keys met during one pass; each is asked for once. Not thread-safe: a pass belongs to one thread."""

    def __init__(self, session: AccountSession, region: str) -> None:
        self._session = session
        self._region = region
        self._known: dict[str, KeyState] = {}
        self._unreachable = False

    def state(self, key_id: str) -> KeyState:
        """The state of a key, by ARN or id."""
        if not key_id:
            return KeyState.UNREADABLE
        if key_id not in self._known:
            self._known[key_id] = self._ask(key_id)
        return self._known[key_id]

    def unreadable(self) -> frozenset[str]:
        """Keys that could not be read."""
        return frozenset(key for key, state in self._known.items() if state is KeyState.UNREADABLE)

    def _ask(self, key_id: str) -> KeyState:
        if self._unreachable:
            return KeyState.UNREADABLE
        try:
            metadata = self._session.kms(self._region).describe_key(KeyId=key_id)["KeyMetadata"]
        except FAILURES as error:
            if code_of(error) in NOT_FOUND:
                return KeyState.UNUSABLE
            # A refusal concerns this key; anything else would only be waited for again with the next one.
            self._unreachable = code_of(error) not in DENIED
            return KeyState.UNREADABLE
        except StewardError:
            self._unreachable = True
            return KeyState.UNREADABLE
        return KeyState.USABLE if metadata.get("KeyState") == "Enabled" else KeyState.UNUSABLE
