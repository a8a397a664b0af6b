"""Reads what other tools were told to keep, and writes it as BackupPolicies."""
