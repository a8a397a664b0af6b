"""The processes behind packages: providers, our function and our controller.

Crossplane does not start them (`--package-runtime=External`); `sandbox.external_runtime` tells it
that they run.
"""

from __future__ import annotations

from sandbox import probes
from sandbox.component import Command, Component
from sandbox.site import SYSTEM_NAMESPACE, Site


def aws_environment(site: Site) -> dict[str, str]:
    """Sends every AWS client to the emulator, with credentials that open nothing anywhere else."""
    return {
        "AWS_ENDPOINT_URL": f"http://{site.address('emulator')}",
        "AWS_ACCESS_KEY_ID": "sandbox",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(site.state / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(site.state / "no-aws-credentials"),
    }


def _provider_sql(site: Site) -> Command:
    arguments = (
        site.programs["provider-sql"],
        f"--metrics-bind-address={site.address('provider-sql')}",
        "--poll=1m",
        "--max-reconcile-rate=50",
    )
    environment = site.base_environment() | {"KUBECONFIG": str(site.kubeconfig("provider-sql"))}
    return Command(arguments, environment)


def _emulator(site: Site) -> Command:
    arguments = (
        *(site.python, "-m", "sandbox.emulator"),
        *("--port", str(site.ports["emulator"]), "--state", str(site.data("emulator"))),
    )
    return Command(arguments, site.python_environment())


def _standin(site: Site) -> Command:
    environment = site.python_environment() | aws_environment(site)
    environment |= {
        "KUBECONFIG": str(site.kubeconfig("provider-aws")),
        "STATEWARD_HEARTBEAT": str(site.data("provider-aws") / "heartbeat"),
    }
    return Command((site.python, "-m", "sandbox.standin"), environment)


def _function(site: Site) -> Command:
    certificates = site.pair("crossplane", "function").certificate.parent
    arguments = (
        *(site.python, "-m", "stateward_functions"),
        *("--address", site.address("function"), "--tls-certs-dir", str(certificates)),
    )
    return Command(arguments, site.python_environment())


def _controller(site: Site) -> Command:
    arguments = (
        *(site.python, "-m", "stateward.controllers"),
        *("--metrics-address", site.address("controller"), "--leader-elect"),
        # Where a package's controller runs in a cluster, so where its Lease belongs.
        *("--lease-namespace", SYSTEM_NAMESPACE),
    )
    environment = site.python_environment() | aws_environment(site)
    environment |= {"KUBECONFIG": str(site.kubeconfig("stateward-controller"))}
    return Command(arguments, environment)


COMPONENTS = (
    Component(
        name="emulator",
        command=_emulator,
        ready=probes.http_ok("emulator", "/_stateward/healthz"),
        needs=("ports",),
        ports=("emulator",),
        shows="emulator",
    ),
    Component(
        name="provider-sql",
        command=_provider_sql,
        ready=probes.http_ok("provider-sql", "/metrics"),
        needs=("kube-apiserver", "install packages", "postgres", "connect shared server"),
        ports=("provider-sql",),
        programs=("provider-sql",),
    ),
    Component(
        name="provider-aws",
        command=_standin,
        ready=probes.heartbeat("provider-aws", 30.0),
        needs=("kube-apiserver", "install packages", "emulator"),
    ),
    Component(
        name="function",
        command=_function,
        ready=probes.accepts("function"),
        needs=("certificates",),
        ports=("function",),
        shows="function",
    ),
    Component(
        name="controller",
        command=_controller,
        ready=probes.http_ok("controller", "/readyz"),
        needs=("kube-apiserver", "install packages", "emulator"),
        ports=("controller",),
        shows="controller",
    ),
)
