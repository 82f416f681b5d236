// An HTTP service that serves with what docs/workloads.md shows: service.go is taken from there.
package main

import (
	"net"
	"net/http"
	"os"
)

func main() {
	address, tlsDir, trustDir := os.Args[1], os.Args[2], os.Args[3]
	listener, err := net.Listen("tcp", address)
	if err != nil {
		panic(err)
	}
	config, err := Reloading(tlsDir, trustDir)
	if err != nil {
		panic(err)
	}
	handler := func(answer http.ResponseWriter, request *http.Request) {}
	server := &http.Server{Handler: http.HandlerFunc(handler), TLSConfig: config}
	panic(server.ServeTLS(listener, "", ""))
}
