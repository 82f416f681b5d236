// Package bridge maps the PKI part of the Terraform Vault provider to Pulumi's package "vault".
package bridge

import (
	_ "embed"

	upstream "github.com/hashicorp/terraform-provider-vault/schema"
	"github.com/hashicorp/terraform-provider-vault/vault"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
)

// Name and Version are those of the Python package that asks for this provider.
const (
	Name    = "vault"
	Version = "7.14.0"
)

// mapped are the resources that the package has here; the upstream provider has many more.
var mapped = map[string]bool{
	"vault_auth_backend":                                 true,
	"vault_kubernetes_auth_backend_config":               true,
	"vault_kubernetes_auth_backend_role":                 true,
	"vault_mount":                                        true,
	"vault_pki_secret_backend_cert":                      true,
	"vault_pki_secret_backend_config_ca":                 true,
	"vault_pki_secret_backend_config_issuers":            true,
	"vault_pki_secret_backend_config_urls":               true,
	"vault_pki_secret_backend_crl_config":                true,
	"vault_pki_secret_backend_intermediate_cert_request": true,
	"vault_pki_secret_backend_intermediate_set_signed":   true,
	"vault_pki_secret_backend_issuer":                    true,
	"vault_pki_secret_backend_key":                       true,
	"vault_pki_secret_backend_role":                      true,
	"vault_pki_secret_backend_root_cert":                 true,
	"vault_pki_secret_backend_root_sign_intermediate":    true,
	"vault_pki_secret_backend_sign":                      true,
	"vault_policy":                                       true,
}

// modules has the module by prefix of the rest of a name; pki_secret_backend_role is thus
// pkiSecret/secretBackendRole:SecretBackendRole.
var modules = map[string]string{"kubernetes_": "kubernetes", "pki_": "pkiSecret"}

// Schema is the Pulumi package schema of Provider.
//
//go:embed schema.json
var Schema []byte

//go:embed bridge-metadata.json
var metadata []byte

// Provider returns the mapping.
func Provider() tfbridge.ProviderInfo {
	provider := sdkv2.NewProvider(upstream.NewProvider(vault.Provider()).SchemaProvider())
	info := tfbridge.ProviderInfo{
		Name:           Name,
		Version:        Version,
		P:              provider,
		MetadataInfo:   tfbridge.NewProviderMetadata(metadata),
		IgnoreMappings: unmapped(provider.ResourcesMap(), provider.DataSourcesMap()),
	}
	info.MustComputeTokens(
		tokens.MappedModules("vault_", "index", modules, tokens.MakeStandard(Name)))
	return info
}

// unmapped names everything that is left out. The bridge does not tell a data source from the
// resource of the same name, so the few data sources called like a mapped resource stay.
func unmapped(kinds ...shim.ResourceMap) []string {
	var names []string
	for _, kind := range kinds {
		kind.Range(func(name string, _ shim.Resource) bool {
			if !mapped[name] {
				names = append(names, name)
			}
			return true
		})
	}
	return names
}
