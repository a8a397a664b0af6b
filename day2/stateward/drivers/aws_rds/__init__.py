"""Amazon RDS: accounts by assumed role, several regions.

One concern per file: `budget` (how fast we may ask), `session` (whose credentials), `errors` (what AWS's refusals
mean), `region` (asking, once, and translating), `keys` (can its key still decrypt it), `reading` (AWS records to
evidence), `listing` (everything at a location), `snapshots` (one restore point at a time), `deletion`, and `driver`,
which joins them. Nothing here decides what may be deleted.
"""

from stateward.drivers.aws_rds.driver import AwsRdsDriver, create

__all__ = ["AwsRdsDriver", "create"]
