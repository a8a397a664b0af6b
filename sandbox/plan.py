"""Everything `up` does, as steps with their dependencies.

Three kinds: tools to have (one per program and set of manifests), things to do once or again
(certificates, initialising Crossplane, packages), and components to start. The order is whatever
the dependencies allow; see `sandbox.steps`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sandbox import installation, ports, trust
from sandbox.component import Component
from sandbox.components import ALL
from sandbox.components.crossplane import initialize
from sandbox.site import Site
from sandbox.steps import Step, Turn
from sandbox.supervisor import Supervisor
from sandbox.toolchain import MANIFESTS, PROGRAMS, Manifests, Program


def tool_steps(site: Site) -> list[Step]:
    """One step per program and per set of manifests."""
    return [*(_program(site, each) for each in PROGRAMS), *(_manifests(site, each) for each in MANIFESTS)]


def all_steps(site: Site, supervisor: Supervisor) -> list[Step]:
    """The whole sandbox. Component steps carry the component's name."""
    work = [
        Step("ports", lambda _: _choose_ports(site, supervisor)),
        Step("certificates", lambda _: trust.establish(site), ("ports",)),
        _do(
            site,
            "initialize crossplane",
            initialize,
            ("kube-apiserver", "tool crossplane-core", "manifests crossplane"),
        ),
        _do(
            site,
            "push packages",
            installation.build_and_push,
            ("registry", "tool crossplane", "manifests provider-sql", "manifests provider-aws"),
        ),
        _do(
            site,
            "install packages",
            installation.install,
            ("crossplane", "external-runtime"),
        ),
        _do(site, "connect shared server", installation.connect_shared_server, ("install packages", "postgres")),
    ]
    return [*tool_steps(site), *work, *(_component(supervisor, each) for each in ALL)]


def everything() -> list[str]:
    """What `up` brings up when nothing else is asked for."""
    return [*(component.name for component in ALL), "connect shared server", "tool kubectl"]


def _program(site: Site, program: Program) -> Step:
    def run(turn: Turn) -> str:
        site.programs[program.name] = site.toolchain.program(program, turn.note)
        return program.version

    return Step(f"tool {program.name}", run)


def _manifests(site: Site, manifests: Manifests) -> Step:
    def run(turn: Turn) -> str:
        site.manifests[manifests.name] = site.toolchain.manifests(manifests, turn.note)
        return manifests.version

    return Step(f"manifests {manifests.name}", run)


def _do(site: Site, name: str, work: Callable[[Site, Turn], str], needs: tuple[str, ...]) -> Step:
    return Step(name, lambda turn: work(site, turn), needs)


def _component(supervisor: Supervisor, component: Component) -> Step:
    tools = tuple(f"tool {name}" for name in component.programs)
    return Step(component.name, lambda turn: supervisor.start(component, turn), ("ports", *component.needs, *tools))


def _choose_ports(site: Site, supervisor: Supervisor) -> str:
    running = set(supervisor.running())
    in_use = {port for component in ALL if component.name in running for port in component.ports}
    known = dict(site.ports)
    site.ports = ports.choose(_names(ALL), site.state, site.promises, known, in_use)
    site.save_ports()
    moved = [name for name, port in known.items() if site.ports.get(name, port) != port]
    return f"new ports for {', '.join(moved)}: the old ones are taken" if moved else ""


def _names(components: Iterable[Component]) -> list[str]:
    return sorted({port for component in components for port in component.ports})
