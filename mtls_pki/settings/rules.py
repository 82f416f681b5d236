"""The rules that relate settings to each other; one function a rule, one table of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mtls_pki.settings import rules_of_authorities as authorities
from mtls_pki.settings import rules_of_services as services
from mtls_pki.settings import rules_of_vault as vault
from mtls_pki.settings.errors import Mistake
from mtls_pki.settings.model import Settings

RULES: tuple[Callable[[Settings], Iterator[Mistake]], ...] = (
    authorities.clusters_can_be_reached,
    authorities.exactly_one_issuing,
    authorities.generated_or_brought,
    authorities.brought_files_are_sound,
    authorities.issuing_anchor_has_an_issuing_ca,
    authorities.issuing_ca_has_one_key,
    authorities.acknowledgement_belongs_to_a_compromise,
    authorities.names_are_unique,
    authorities.installed_where_it_is_looked_for,
    vault.vault_is_there_where_it_is_asked_for,
    services.resource_names_are_unique,
    authorities.issuing_ca_fits_its_root,
    services.leaf_times_are_cert_managers,
    services.leaves_fit_their_issuing_ca,
    services.services_name_what_exists,
    services.services_have_their_own_objects,
    services.names_are_permitted,
    services.usages_and_lists_are_sets,
    vault.sign_role_allows_what_services_ask_for,
    vault.leaves_fit_the_sign_role,
)


def mistakes_of(settings: Settings) -> tuple[Mistake, ...]:
    """Return every breach of :data:`RULES`."""
    return tuple(mistake for rule in RULES for mistake in rule(settings))
