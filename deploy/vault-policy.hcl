# What the token needs under which `pulumi up` runs against a Vault or an OpenBao, and nothing more.
# A preview needs deploy/vault-policy-evidence.hcl only.
#
# Two names depend on the stack; change them here where the stack file does:
#   pki-mesh         issuing.vault.mount; sign roles and policies begin with it (a `/` becomes a `-`)
#   kubernetes-dev   <issuing.vault.authPath>-<cluster>; repeat its five rules for each cluster
#
# Write it with: bao policy write mtls-pki deploy/vault-policy.hcl
# Protect the token as you protect the root token: a person who may write a policy, and let somebody
# log in under it, can get any right. Let it live for minutes, and give it to the deploying job alone.

# The PKI mount. No delete: with the mount go the keys of all issuing CAs.
# read: whether it is there. update: make it, with the longest leaf it may sign.
path "sys/mounts/pki-mesh" {
  capabilities = ["read", "update"]
}
path "sys/mounts/pki-mesh/tune" {
  capabilities = ["update"]
}

# A new issuing CA: its key is made inside and cannot be exported; only the signing request leaves.
path "pki-mesh/issuers/generate/intermediate/internal" {
  capabilities = ["update"]
}
# Its certificate, signed by the anchor. No key can be brought in this way.
path "pki-mesh/intermediate/set-signed" {
  capabilities = ["update"]
}
# Name, chain and usages of an issuing CA, by its id; patch is how the provider changes them later.
# delete: one whose anchor has left the stack. Its key stays in the mount.
path "pki-mesh/issuer/+" {
  capabilities = ["read", "update", "patch", "delete"]
}
# The mount's default issuer: it follows the issuing generation.
path "pki-mesh/config/issuers" {
  capabilities = ["read", "update"]
}
# One sign role for each generation. There is no rule for pki-mesh/sign: this token gets no leaf signed.
path "pki-mesh/roles/*" {
  capabilities = ["read", "update", "delete"]
}

# The policy of each sign role, which allows exactly its sign path.
path "sys/policies/acl/pki-mesh-*" {
  capabilities = ["read", "update", "delete"]
}

# How the issuers of one cluster log in. Both servers want sudo for auth methods.
# update: make it. delete: a cluster that has left the stack; there is no key in it.
path "sys/auth/kubernetes-dev" {
  capabilities = ["update", "delete", "sudo"]
}
# The same method read and described without sudo.
path "sys/mounts/auth/kubernetes-dev" {
  capabilities = ["read"]
}
path "sys/mounts/auth/kubernetes-dev/tune" {
  capabilities = ["update"]
}
# Address and CA of the cluster's API server, which reviews the tokens.
path "auth/kubernetes-dev/config" {
  capabilities = ["read", "update"]
}
# One login role for each issuer. Only here, making one is not an update.
path "auth/kubernetes-dev/role/*" {
  capabilities = ["create", "read", "update", "delete"]
}

# Whether the token is accepted, and which of the rights above it lacks, before anything is touched.
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
