"""Pure state machines: what to do next, given what was persisted and what is seen."""
