"""Which regions there are, as far as the installed AWS SDK knows: a misspelt region would only look unreachable."""

from __future__ import annotations

import difflib
from functools import cache

import botocore.session


def unknown_region(region: str) -> str:
    """What is wrong with the name of a region and what may be meant; empty when it is one."""
    known = _known()
    if region in known:
        return ""
    near = difflib.get_close_matches(region, sorted(known), 1, 0.7)
    meant = f"did you mean {near[0]}?" if near else "see the list of AWS regions"
    return f"{region} is no region that the installed AWS SDK knows; {meant} (a new region needs a newer boto3)"


@cache
def _known() -> frozenset[str]:
    loader = botocore.session.get_session().get_component("data_loader")
    partitions = loader.load_data("partitions")["partitions"]
    return frozenset(name for partition in partitions for name in partition["regions"] if not name.endswith("-global"))
