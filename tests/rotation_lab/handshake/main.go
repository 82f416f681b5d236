// Command handshake has Go's crypto/tls do mutual TLS 1.3 handshakes between the parties that
// standard input describes, and prints for each what went wrong, or an empty string.
//
//	[{"host": NAME, "client": PARTY, "server": PARTY}, ...]  ->  ["", "tls: ...", ...]
//
// A PARTY has "chain" (leaf first), "key" and "roots", all PEM.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log"
	"net"
	"os"
)

type party struct{ Chain, Key, Roots string }

type cell struct {
	Host           string
	Client, Server party
}

func main() {
	var cells []cell
	if err := json.NewDecoder(os.Stdin).Decode(&cells); err != nil {
		log.Fatal(err)
	}
	results := make([]string, len(cells))
	for number, each := range cells {
		if err := handshake(each); err != nil {
			results[number] = err.Error()
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		log.Fatal(err)
	}
}

// handshake returns what either side has against the other.
func handshake(each cell) error {
	client, server := configuration(each.Client), configuration(each.Server)
	client.ServerName = each.Host
	server.ClientAuth = tls.RequireAndVerifyClientCert
	near, far := net.Pipe()
	served := make(chan error, 1)
	go func() {
		defer far.Close()
		served <- tls.Server(far, server).Handshake()
	}()
	connection := tls.Client(near, client)
	called := connection.Handshake()
	if called == nil {
		// The server looks at the client's certificate last, and an alert may wait to be read.
		_, _ = connection.Read(make([]byte, 1))
	}
	near.Close()
	return errors.Join(called, <-served)
}

func configuration(each party) *tls.Config {
	pair, err := tls.X509KeyPair([]byte(each.Chain), []byte(each.Key))
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(each.Roots)) {
		log.Fatal("no root in a bundle")
	}
	return &tls.Config{
		Certificates:           []tls.Certificate{pair},
		RootCAs:                roots,
		ClientCAs:              roots,
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
	}
}
