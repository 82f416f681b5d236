// Command generate writes schema.json and bridge-metadata.json of the provider.
package main

import (
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfgen"

	"mtls-pki.example/lab/tools/pulumi-resource-tls/bridge"
)

func main() {
	tfgen.Main(bridge.Name, bridge.Provider())
}
