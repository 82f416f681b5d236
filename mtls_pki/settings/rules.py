"""The rules that relate settings to each other; one function a rule, one table of all.

Those of backends and consumers come with their rows (:mod:`mtls_pki.settings.extensions`).
"""

from __future__ import annotations

from mtls_pki.settings import rules_of_access as access
from mtls_pki.settings import rules_of_authorities as authorities
from mtls_pki.settings import rules_of_chains as chains
from mtls_pki.settings import rules_of_services as services
from mtls_pki.settings.errors import Mistake
from mtls_pki.settings.extensions import Rule
from mtls_pki.settings.model import Settings

RULES: tuple[Rule, ...] = (
    authorities.clusters_can_be_reached,
    authorities.clusters_have_names_of_their_own,
    authorities.exactly_one_issuing,
    authorities.generated_or_brought,
    authorities.brought_files_are_sound,
    chains.brought_chains_verify,
    authorities.issuing_anchor_has_an_issuing_ca,
    authorities.issuing_ca_has_one_key,
    authorities.acknowledgement_belongs_to_a_compromise,
    authorities.names_are_unique,
    authorities.installed_where_it_is_looked_for,
    services.resource_names_are_unique,
    authorities.issuing_ca_fits_its_root,
    services.leaf_times_are_cert_managers,
    services.leaves_fit_their_issuing_ca,
    services.bundle_forms_fit_each_other,
    services.partners_are_roots,
    services.services_name_what_exists,
    services.services_have_their_own_objects,
    services.names_are_permitted,
    services.usages_and_lists_are_sets,
    *access.RULES,
)


def mistakes_of(settings: Settings) -> tuple[Mistake, ...]:
    """Return every breach of :data:`RULES`, and of the rules of backends and consumers."""
    rules = (*RULES, *settings.extensions.rules)
    return tuple(mistake for rule in rules for mistake in rule(settings))
