// Command generate writes schema.json and bridge-metadata.json of the provider.
package main

import (
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfgen"

	"mtls-pki.example/lab/tools/pulumi-resource-vault/bridge"
)

func main() {
	tfgen.Main(bridge.Name, bridge.Version, bridge.Provider())
}
