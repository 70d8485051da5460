"""The models a run may ask now: its release's targets, as switches change them."""

from collections.abc import Mapping

from keyturn.activities.llm import route as llm_route
from keyturn.activities.llm.provider import Provider
from keyturn.activities.llm.route import Route
from keyturn.activities.think.fallback import Fallback, Held
from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.authority.switch import Target, covering, holding
from keyturn.orchestrator.rules.errors import KeyturnError
from keyturn.orchestrator.store.turns.position import Position

Providers = Mapping[str, Provider]


def routes(position: Position, providers: Providers) -> list[Route]:
    """Return the models to try, in order, without those that switches disable."""
    run, release = position.run, position.release
    alias = release.safer_model if run.use_safer_model else release.model
    try:
        found = _resolve(position, providers, _instead(position, alias))
        found = [
            other for route in found for other in _replaced(position, providers, route)
        ]
    except KeyturnError as error:
        raise Fallback("timeout", str(error)) from error
    allowed = [route for route in found if off(position, route) is None]
    if not allowed:
        by = next(filter(None, (off(position, route) for route in found)), "")
        raise Held(hold.by_switch(by))
    return allowed


def _resolve(position: Position, providers: Providers, alias: str) -> tuple[Route, ...]:
    return llm_route.resolve(
        position.release.targets(alias),
        providers,
        alias=None if "/" in alias else alias,
    )


def _replaced(
    position: Position, providers: Providers, route: Route
) -> tuple[Route, ...]:
    """Return the models by which a switch replaces one, or the model itself."""
    named = _instead(position, route.target, provider=route.provider.name)
    if named == route.target:
        named = _instead(position, route.model, provider=route.provider.name)
    is_same = named in (route.target, route.model)
    return (route,) if is_same else _resolve(position, providers, named)


def _instead(position: Position, model: str, *, provider: str | None = None) -> str:
    """Return what the latest switch says to use in place of `model`."""
    run = position.run
    target = Target(
        tenant=run.tenant, workflow=run.workflow, model=model, provider=provider
    )
    for switch in covering(position.switches, target):
        # A switch for every model has been applied when the alias was resolved.
        is_named = switch.scope.model is not None or (switch.scope.provider is not None)
        if provider is not None and not is_named:
            continue
        if switch.mode == "use_model" and switch.value:
            model = switch.value
    return model


def off(position: Position, route: Route) -> str | None:
    """Return the switch that disables a model by any of its names, or None."""
    # A disabled run still asks its models; a disabled model is not asked.
    named = [one for one in position.switches if one.scope.names_model]
    for name in filter(None, (route.alias, route.model, route.target)):
        target = Target(
            tenant=position.run.tenant,
            workflow=position.run.workflow,
            model=name,
            provider=route.provider.name,
        )
        found = holding(named, target)
        if found is not None:
            return found.id
    return None
