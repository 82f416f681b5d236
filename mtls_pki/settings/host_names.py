"""DNS names as verifiers take them; each mistake has a sentence of its own, and says what is meant.

The rules are those of RFC 1123, section 2.1 for hosts, which cert-manager, Go and OpenSSL share;
names in other scripts are written as A-labels (RFC 5890, section 2.3.2.1).
"""

from __future__ import annotations

import re
from ipaddress import ip_address

import idna

LONGEST = 253
LONGEST_LABEL = 63
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_EXAMPLE = "gateway.monoskope.svc.cluster.local"
_WITH_PORT = re.compile(r"(?P<name>[^:/]+):\d+")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://(?P<name>[^/:?#@]+)", re.IGNORECASE)


def host_name_mistake(value: str) -> str | None:
    """Return why a certificate cannot have this DNS name, and what to write, or None.

    Args:
        value: the name; its first label may be an asterisk.
    """
    if not value:
        return f"write a DNS name such as {_EXAMPLE}"
    if value != value.strip() or any(each.isspace() for each in value):
        return f"has blanks; write {_corrected(''.join(value.split()))}"
    if is_address(value):
        return "is an IP address, no DNS name; write it under ipAddresses"
    for pattern, what in ((_URL, "is a URL"), (_WITH_PORT, "has a port")):
        found = pattern.match(value)
        if found:
            return f"{what}, and a certificate names hosts only; write {_corrected(found['name'])}"
    if value.endswith("."):
        return f"ends in a dot, which no certificate has; write {_corrected(value.rstrip('.'))}"
    if not value.isascii():
        return _in_another_script(value)
    if value != value.lower() and len(value) <= LONGEST:
        return f"has capital letters; write {_corrected(value)}"
    return _mistake_in_labels(value)


def _mistake_in_labels(value: str) -> str | None:
    labels = value.split(".")
    if labels[0] == "*":
        labels = labels[1:]
        if len(labels) < 2:
            # OpenSSL's valid_star, and GnuTLS: such a name matches nothing.
            return (
                "is a wildcard before fewer than two labels, which no verifier matches; list names"
            )
    if any("*" in label for label in labels):
        return "has a wildcard that is not its whole first label; write *.DOMAIN, or list names"
    if "" in labels:
        return "has an empty label; write one dot between two labels"
    if "_" in value:
        return (
            "has an underscore, which no host's name has (RFC 1123 2.1); use the name of the "
            f"Service, such as {value.replace('_', '-')}"
        )
    for label in labels:
        if len(label) > LONGEST_LABEL:
            return (
                f"has a label of {len(label)} characters ({label[:20]}...); {LONGEST_LABEL} is the "
                "most (RFC 1035 2.3.4)"
            )
        if label.startswith("-") or label.endswith("-"):
            return f"has a label with '-' at an end ({label}); begin and end it otherwise"
        if not LABEL.fullmatch(label):
            return f"has other characters than a-z, 0-9, '-' and '.' ({label}); write {_EXAMPLE}"
    if len(value) > LONGEST:
        return f"is {len(value)} characters long; {LONGEST} is the most (RFC 1035 2.3.4)"
    return None


def _in_another_script(value: str) -> str:
    try:
        written = idna.encode(value.removeprefix("*."), uts46=True).decode()
    except idna.IDNAError:
        return "has characters that no DNS name has, also not as punycode; use another name"
    prefix = "*." if value.startswith("*.") else ""
    return f"is not ASCII; write it in punycode: {prefix}{written}"


def is_address(value: str) -> bool:
    """Tell whether ``value`` is an IP address, also in brackets or with a zone."""
    try:
        ip_address(value.strip("[]").partition("%")[0])
    except ValueError:
        return False
    return True


def _corrected(value: str) -> str:
    """Return a name that can be written, or what one looks like where this cannot be told."""
    lower = value.lower()
    return lower if host_name_mistake(lower) is None else f"a name such as {_EXAMPLE}"
