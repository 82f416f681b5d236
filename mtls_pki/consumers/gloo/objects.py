"""The objects of Gloo Mesh's relay, by name (Gloo Mesh, "Relay certificates")."""

from __future__ import annotations

ROOT_SECRET = "relay-root-tls-secret"  # noqa: S105 a name, as the others
SERVER_SECRET = "relay-server-tls-secret"  # noqa: S105
CLIENT_SECRET = "relay-client-tls-secret"  # noqa: S105
SIGNING_SECRET = "relay-tls-signing-secret"  # noqa: S105
TELEMETRY_SECRET = "gloo-telemetry-gateway-tls-secret"  # noqa: S105

SECRETS = (ROOT_SECRET, SERVER_SECRET, CLIENT_SECRET, SIGNING_SECRET, TELEMETRY_SECRET)

MESH_CA_SECRET = "cacerts"  # noqa: S105
"""What Gloo writes for istiod of each workload cluster, where it makes the mesh's CA itself."""

MESH_CAS_KEY = "mesh-cas.crt"
"""In the ConfigMap below: the CAs of the mesh, that of the issuing anchor first."""

CERTIFICATES = "relay-certificates"
"""Of the ConfigMap that shows the certificates of all of them, for whoever may read no Secret."""

ROOTS_KEY = "ca.crt"
"""In it: the roots; other keys are chains."""

CLIENT_KEY, SERVER_KEY, TELEMETRY_KEY = "client.crt", "server.crt", "telemetry.crt"
