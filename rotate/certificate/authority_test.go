package certificate_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"github.com/rekey-go/rekey/source"
)

// An authority is a root that nobody sees but as trusted, and what signs in its name.
type authority struct {
	roots  *x509.CertPool
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	life   time.Duration
	alone  bool // it forgets to hand its own certificate out
	issued bytes.Buffer
}

func newAuthority() (*authority, error) {
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
			KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		}
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	root, err := sign(template("root"), template("root"), rootKey, rootKey)
	if err != nil {
		return nil, err
	}
	a := &authority{roots: x509.NewCertPool(), life: 90 * 24 * time.Hour}
	a.roots.AddCert(root)
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	a.cert, err = sign(template("issuing"), root, a.key, rootKey)
	return a, err
}

func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return new(big.Int).SetBytes(b)
}

func sign(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// issue is for certificate.Config.
func (a *authority) issue(ctx context.Context, request []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	wanted, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, err
	}
	if err := wanted.CheckSignature(); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(), Subject: wanted.Subject, DNSNames: wanted.DNSNames, IPAddresses: wanted.IPAddresses,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(a.life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, wanted.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if !a.alone {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})...)
	}
	fmt.Fprintf(&a.issued, "%s\n%x\n%s\n", wanted.Subject, request, chain)
	return chain, nil
}

// byHand makes a certificate as people do.
func (a *authority) byHand(user string, names ...string) (source.Credential, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return source.Credential{}, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: user}, DNSNames: names}, key)
	if err != nil {
		return source.Credential{}, err
	}
	chain, err := a.issue(context.Background(), request)
	if err != nil {
		return source.Credential{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return source.Credential{}, err
	}
	c := source.Credential{Username: user, Password: source.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))}
	return c.WithFields(map[string]source.Secret{"tls.crt": source.NewSecret(string(chain))}), nil
}
