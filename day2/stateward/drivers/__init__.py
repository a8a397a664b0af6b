"""Backends: each driver translates one kind of backend into evidence and outcomes."""
