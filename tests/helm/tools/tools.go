//go:build tools

// Package tools pins the programs that tests/helm/run checks the charts with; go.sum makes them the same everywhere.
package tools

import (
	_ "github.com/helm-unittest/helm-unittest/cmd/helm-unittest"
	_ "github.com/yannh/kubeconform/cmd/kubeconform"
	_ "helm.sh/helm/v3/cmd/helm"
)
