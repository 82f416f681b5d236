// Package shim exposes the internal provider of terraform-provider-tls.
package shim

import (
	framework "github.com/hashicorp/terraform-plugin-framework/provider"

	"github.com/hashicorp/terraform-provider-tls/internal/provider"
)

// NewProvider returns the upstream TLS provider.
func NewProvider() framework.Provider { return provider.New() }
