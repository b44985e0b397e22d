// SPDX-License-Identifier: BSD-2-Clause

//go:build tools

// Package tools keeps in go.mod what the tests build: `go build
// k8s.io/kubernetes/cmd/kube-apiserver` and kubectl.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver/app"
	_ "k8s.io/kubectl/pkg/cmd"
)
