"""Rules on resources that hold the keys of CAs: they are protected while a CA issues."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import STAGE_KEY, StageError, TrustStage
from policy.model import UNKNOWN, Finding, Parameters, Resource, Stack, about
from policy.objects import CONFIG_MAP

TRUST_ANCHOR = "mtls-pki:index:TrustAnchor"
PRIVATE_KEY = "tls:index/privateKey:PrivateKey"
_MOUNT = "vault:index/mount:Mount"


def unprotected_anchor(stack: Stack, _parameters: Parameters) -> Iterator[Finding]:
    """Find the root's key of an issuing anchor that is not protected.

    An anchor whose role is not known counts as issuing.
    """
    roles = _roles(stack)
    for key in stack.of(PRIVATE_KEY):
        generation = _generation_of_root_key(key)
        if generation is None or key.protect:
            continue
        role = roles.get(generation)
        if role is None:
            yield about(
                key,
                f"the key of anchor {generation} is not protected, and its role is not known (the "
                "stack neither exports `anchors` nor has a stage record)",
            )
        elif role == Role.ISSUING:
            yield about(key, f"the key of anchor {generation} is not protected while it issues")


def is_pki_mount(resource: Resource, *path: str) -> bool:
    """Tell whether the resource is a mount of Vault's pki engine; ``path`` leads to its inputs."""
    return resource.object_type == _MOUNT and resource.at(*path, "type") == "pki"


def unprotected_mount(resource: Resource, _parameters: Parameters) -> Iterator[Finding]:
    """Find a Vault mount of type pki that is not protected."""
    if is_pki_mount(resource) and not resource.protect:
        path = resource.text("path") or "(not known yet)"
        yield about(
            resource,
            f"mount {path} is not protected, and deleting a pki mount deletes every key in it",
        )


def _generation_of_root_key(key: Resource) -> str | None:
    """Return the generation of a root's key; None for any other key, such as an issuing CA's."""
    if key.parent is None or not key.is_below(TRUST_ANCHOR):
        return None
    generation = key.parent.rpartition("::")[2]
    return generation if key.name == f"{generation}-key" else None


def _roles(stack: Stack) -> dict[str, str]:
    """Roles by generation: from the stage records, and from the export, which has new anchors."""
    roles: dict[str, str] = {}
    for config_map in stack.of(CONFIG_MAP):
        text = config_map.text("data", STAGE_KEY)
        if text is not None:
            roles |= _recorded(text, config_map.label)
    exported = stack.exports.at("anchors") if stack.exports else None
    if isinstance(exported, Mapping):
        for generation, anchor in exported.items():
            role = anchor.get("role") if isinstance(anchor, Mapping) else UNKNOWN
            if isinstance(role, str):
                roles[generation] = role
    return roles


def _recorded(text: str, origin: str) -> dict[str, str]:
    try:
        stage = TrustStage.from_json(text, origin=origin)
    except StageError:
        return {}
    return {generation: anchor.role.value for generation, anchor in stage.anchors.items()}
