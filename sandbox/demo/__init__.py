"""The demo: tells the story from a claim to an enforced retention rule, on a real control plane, with its own output.

Invariants: every line under a `$` is what that very command printed (long output is cut, and says so); what the story
claims is checked as it goes, and the first thing that is not so ends the demo with exit code 1. What it is not: a test
suite. `tests/scenario` proves each behaviour by itself.
"""
