// Command pulumi-resource-vault serves the PKI part of the Terraform Vault provider as Pulumi's
// package "vault".
//
// bridge/schema.json and bridge/bridge-metadata.json are generated; after a change of a version run
// `go generate` here with `pulumi` on PATH.
package main

import (
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"

	"mtls-pki.example/lab/tools/pulumi-resource-vault/bridge"
)

//go:generate env PULUMI_SKIP_MISSING_MAPPING_ERROR=true go run -trimpath ./generate schema --out bridge --skip-docs --skip-examples
//go:generate rm bridge/Pulumi.yaml

func main() {
	tfbridge.Main(bridge.Name, bridge.Version, bridge.Provider(), bridge.Schema)
}
