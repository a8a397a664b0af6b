"""An AWS emulator for the sandbox: moto's server with its known errors corrected.

Purpose: give the controller, the demo and the benchmarks an AWS with two accounts on 127.0.0.1 that behaves like
the real one wherever a retention engine could be misled: identity, paging, status, keys, limits, refusals.

Invariants:
- `corrections/` is the only place that changes moto; each correction names the AWS behaviour it restores.
- AWS calls run one at a time (moto is pure Python and keeps no locks of its own); injected latency sleeps outside
  that lock.
- Whatever the AWS API cannot express (back-dated snapshots, faults, the call ledger) lives under `/_stateward/` and
  never in an AWS operation.

What it is not: a complete AWS. Automated backups do not age, nothing is billed, and IAM policies are not evaluated
(only which roles may be assumed).
"""
