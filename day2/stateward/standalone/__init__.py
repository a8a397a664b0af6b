"""Stateward without a cluster: accounts and policies from files, the same decision, the same drivers, its own state."""
