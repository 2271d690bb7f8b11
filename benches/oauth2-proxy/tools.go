//go:build tools

// Package bench holds the version of the oauth2-proxy that the benchmark compares with; see go.mod.
package bench

import _ "github.com/oauth2-proxy/oauth2-proxy/v7"
