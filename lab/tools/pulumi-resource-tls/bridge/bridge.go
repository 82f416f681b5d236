// Package bridge maps the Terraform TLS provider to Pulumi's package "tls".
package bridge

import (
	_ "embed"

	"github.com/hashicorp/terraform-provider-tls/shim"
	pf "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
)

// Name and Version are those of the Python package that asks for this provider.
const (
	Name    = "tls"
	Version = "5.6.2"
)

// Schema is the Pulumi package schema of Provider.
//
//go:embed schema.json
var Schema []byte

//go:embed bridge-metadata.json
var metadata []byte

// Provider returns the mapping: tls_private_key is tls:index/privateKey:PrivateKey, and so on.
func Provider() tfbridge.ProviderInfo {
	info := tfbridge.ProviderInfo{
		Name:         Name,
		Version:      Version,
		P:            pf.ShimProvider(shim.NewProvider()),
		MetadataInfo: tfbridge.NewProviderMetadata(metadata),
	}
	info.MustComputeTokens(tokens.SingleModule("tls_", "index", tokens.MakeStandard(Name)))
	return info
}
