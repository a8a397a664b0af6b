"""The `stateward` command: what is under care, what would be deleted and why. It reads; it never deletes or writes."""
