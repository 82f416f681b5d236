module mtls-pki.example/go-service

go 1.24
