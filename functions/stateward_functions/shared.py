"""Backend `shared`: a database on a server that several teams share (provider-sql v0.16).

One role owns the database and nobody else may connect: the grant revokes what PUBLIC has by default. The privilege is
ALL because the provider compares a grant with all that its role holds on the database, and an owner holds everything.

The grant is never deleted by itself: the provider connects to the database to revoke it, which fails for ever once the
database is dropped, and dropping the database takes the grant along anyway.
"""

from __future__ import annotations

from typing import Any, Final

from stateward_functions import guard, naming
from stateward_functions.claim import Claim
from stateward_functions.offer import Agreement
from stateward_functions.past import Past
from stateward_functions.plan import Plan, Shared

NAMESPACED: Final = "postgresql.sql.m.crossplane.io/v1alpha1"
CLUSTER: Final = "postgresql.sql.crossplane.io/v1alpha1"


def flavour(claim: Claim) -> str:
    """API version that a composite of that scope can compose."""
    return NAMESPACED if claim.namespaced else CLUSTER


def render(
    claim: Claim, plan: Plan, shared: Shared, agreement: Agreement, past: Past, identifier: str, database: str
) -> dict[str, dict[str, Any]]:
    """Desired managed resources by their key in the composition; the role is named like its database."""
    around = list(guard.surroundings(agreement.deletion_policy))
    wanted: dict[str, Any] = {"owner": database, "connectionLimit": shared.connection_limit}
    role = _managed(claim, plan, "Role", identifier, database, around)
    role["spec"]["writeConnectionSecretToRef"] = (
        {"name": f"{identifier}-role"}
        if claim.namespaced
        else {"name": f"{identifier}-role", "namespace": claim.namespace}
    )
    role["spec"]["forProvider"] = {"privileges": {"login": True}}
    policies = guard.data(agreement.deletion_policy, past.initialized, past.managed, wanted)
    data = _managed(claim, plan, "Database", identifier, past.external_name or database, list(policies))
    data["spec"]["forProvider"] = wanted
    grant = _managed(claim, plan, "Grant", identifier, "", list(guard.KEEP_FOR_EVER))
    grant["spec"]["forProvider"] = {
        "database": database,
        "role": database,
        "privileges": ["ALL"],
        "revokePublicOnDb": True,
    }
    return {naming.ROLE: role, naming.DATABASE: data, naming.GRANT: grant}


def _managed(claim: Claim, plan: Plan, kind: str, name: str, external_name: str, policies: list[str]) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name}
    config = {"name": plan.provider_config}
    if external_name:
        metadata["annotations"] = {"crossplane.io/external-name": external_name}
    if claim.namespaced:
        metadata["namespace"] = claim.namespace
        config["kind"] = plan.provider_config_kind
    return {
        "apiVersion": flavour(claim),
        "kind": kind,
        "metadata": metadata,
        "spec": {"managementPolicies": policies, "providerConfigRef": config},
    }
