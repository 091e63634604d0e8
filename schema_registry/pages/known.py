"""What the pages know: the contracts of the files, and where the events are found."""

from collections.abc import Sequence

from fastapi import Request

from schema_registry.domain.asyncapi import Surroundings
from schema_registry.domain.contracts import Contract, ContractVersion
from schema_registry.settings import RegistrySettings
from service_kit.errors import NotFound
from service_kit.roles import CurrentUser
from service_kit.text import message as _
from service_kit.web import runtime_of


def contracts_of(request: Request) -> Sequence[Contract]:
    contracts: Sequence[Contract] = request.app.state.contracts
    return contracts


def contract_of(request: Request, producer: str, event: str) -> Contract:
    for contract in contracts_of(request):
        if (contract.producer, contract.folder) == (producer, event):
            return contract
    raise NotFound(_("There is no such event."))


def version_of(contract: Contract, number: int) -> ContractVersion:
    found = contract.version(number)
    if found is None:
        raise NotFound(_("This event has no such version."))
    return found


def surroundings_of(request: Request) -> Surroundings:
    settings = runtime_of(request).settings
    return Surroundings(settings.kafka_servers, settings.public_url, settings.topic_framing)


def offers_tail(request: Request) -> bool:
    """Whether pages point at the topics: to those who may look, and to those who are not signed in yet."""
    user: CurrentUser | None = request.state.user
    return user is None or may_tail(request, user)


def may_tail(request: Request, user: CurrentUser) -> bool:
    """Whether somebody may look into the topics."""
    settings = runtime_of(request).settings
    assert isinstance(settings, RegistrySettings)  # noqa: S101  narrows the type for mypy
    return user.role in settings.tail_roles
