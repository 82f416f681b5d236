// Command goverify verifies a certificate chain with Go's crypto/x509, the verifier of cert-manager,
// istiod and most workloads: once as a server of the given name, once as a client.
//
//	goverify CHAIN.pem ROOTS.pem HOSTNAME [RFC3339-INSTANT]
//
// CHAIN.pem holds the leaf first. It exits 0 if both hold, 1 with the reason if not, 2 on misuse.
package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 4 && len(os.Args) != 5 {
		fail(2, fmt.Errorf("usage: goverify CHAIN.pem ROOTS.pem HOSTNAME [RFC3339-INSTANT]"))
	}
	chain, err := read(os.Args[1])
	if err != nil {
		fail(2, err)
	}
	roots, err := read(os.Args[2])
	if err != nil {
		fail(2, err)
	}
	at := time.Now()
	if len(os.Args) == 5 {
		if at, err = time.Parse(time.RFC3339, os.Args[4]); err != nil {
			fail(2, err)
		}
	}
	if err := verify(chain, pool(roots), os.Args[3], at); err != nil {
		fail(1, err)
	}
}

func verify(chain []*x509.Certificate, roots *x509.CertPool, hostname string, at time.Time) error {
	options := x509.VerifyOptions{Roots: roots, Intermediates: pool(chain[1:]), CurrentTime: at}
	options.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if _, err := chain[0].Verify(options); err != nil {
		return fmt.Errorf("as a client: %w", err)
	}
	options.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	options.DNSName = hostname
	if _, err := chain[0].Verify(options); err != nil {
		return fmt.Errorf("as a server: %w", err)
	}
	return nil
}

// read returns the certificates of a PEM file, at least one.
func read(path string) ([]*x509.Certificate, error) {
	rest, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var certificates []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		certificates = append(certificates, certificate)
	}
	if len(certificates) == 0 {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return certificates, nil
}

func pool(certificates []*x509.Certificate) *x509.CertPool {
	made := x509.NewCertPool()
	for _, certificate := range certificates {
		made.AddCert(certificate)
	}
	return made
}

func fail(status int, err error) {
	fmt.Println(err)
	os.Exit(status)
}
