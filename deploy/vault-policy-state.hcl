# What a stack needs whose secrets provider is a key of a Vault or an OpenBao (`hashivault://mtls-pki`): to use that key,
# and nothing else. It can neither read, export, rotate nor delete the key, nor make one: `update` alone, without
# `create`, refuses a name that is not there instead of making a key of that name.
#
# Two names depend on the stack; change them here where `--secrets-provider` does:
#   transit     mount of the secrets engine, else `hashivault://mtls-pki?engine=NAME`
#   mtls-pki    the key
#
# Write it with: bao policy write mtls-pki-state deploy/vault-policy-state.hcl

# Every command that reads or writes the state.
path "transit/decrypt/mtls-pki" {
  capabilities = ["update"]
}
# Only `pulumi stack init` and `pulumi stack change-secrets-provider`: leave it out for jobs that do neither.
path "transit/encrypt/mtls-pki" {
  capabilities = ["update"]
}
