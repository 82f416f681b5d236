// Command pulumi-resource-tls serves the Terraform TLS provider as Pulumi's package "tls".
//
// bridge/schema.json and bridge/bridge-metadata.json are generated; after a change of a version run
// `go generate` here with `pulumi` on PATH.
package main

import (
	"context"

	pf "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"

	"mtls-pki.example/lab/tools/pulumi-resource-tls/bridge"
)

//go:generate go run -trimpath ./generate schema --out bridge --skip-docs --skip-examples
//go:generate rm bridge/Pulumi.yaml

func main() {
	pf.Main(context.Background(), bridge.Name, bridge.Provider(),
		pf.ProviderMetadata{PackageSchema: bridge.Schema})
}
