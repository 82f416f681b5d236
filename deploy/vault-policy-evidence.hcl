# What reading a Vault or an OpenBao needs, and nothing more: `mtls-pki status`, previews
# (with --refresh too) and `bao pki health-check pki-mesh` work under it. It can change nothing, get
# nothing signed and log nobody in.
#
# Two names depend on the stack; change them here where the stack file does:
#   pki-mesh         issuing.vault.mount; sign roles and policies begin with it (a `/` becomes a `-`)
#   kubernetes-dev   <issuing.vault.authPath>-<cluster>; repeat its three rules for each cluster
#
# Write it with: bao policy write mtls-pki-evidence deploy/vault-policy-evidence.hcl
#
# Certificates and CRLs of a mount, and the list of its issuers, are public: they need no rule.

# The mount: whether it is there and whose; how long its leaves may live, what its audit log hides.
path "sys/mounts/pki-mesh" {
  capabilities = ["read"]
}
path "sys/mounts/pki-mesh/tune" {
  capabilities = ["read"]
}

# Of each issuing CA: name, chain, usages, and whether it still has a key; never the key.
path "pki-mesh/issuer/+" {
  capabilities = ["read"]
}
# Default issuer, URLs, CRLs, tidying: issuers, urls, crl, auto-tidy, cluster, acme.
path "pki-mesh/config/+" {
  capabilities = ["read"]
}
# What the sign roles allow.
path "pki-mesh/roles" {
  capabilities = ["list"]
}
path "pki-mesh/roles/+" {
  capabilities = ["read"]
}
# For the health check: serial numbers of what the mount has stored, and when it was tidied.
path "pki-mesh/certs" {
  capabilities = ["list"]
}
path "pki-mesh/tidy-status" {
  capabilities = ["read"]
}

# What the issuers' tokens may do.
path "sys/policies/acl/pki-mesh-*" {
  capabilities = ["read"]
}
# How the issuers of one cluster log in; under sys/auth the same would want sudo.
path "sys/mounts/auth/kubernetes-dev" {
  capabilities = ["read"]
}
path "auth/kubernetes-dev/config" {
  capabilities = ["read"]
}
path "auth/kubernetes-dev/role/+" {
  capabilities = ["read"]
}

# Whether the token is accepted, and which of the rights above it lacks.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "sys/capabilities-self" {
  capabilities = ["update"]
}
# A pipeline's token ends with its job.
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
