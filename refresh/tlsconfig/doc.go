// Package tlsconfig has TLS servers and clients take to new certificates and new roots
// without a restart.
//
// A credential holds the private key as its password, the chain in the field "tls.crt",
// its own certificate first, and the roots that are trusted in the field "ca.crt", all
// as PEM: so package rotate/certificate deploys it, and so Kubernetes mounts it, where
// the key is the file tls.key:
//
//	files := file.Dir("/etc/tls", &file.Options{PasswordField: "tls.key", AllowNoUsername: true})
//	r, err := refresh.New(ctx, tlsconfig.Source(files), nil)
//	cert, err := tlsconfig.NewCertificate(ctx, r, nil)
//	roots, err := tlsconfig.NewRoots(ctx, r)
//	server := &http.Server{TLSConfig: tlsconfig.Server(nil, cert, roots)}
//	client := &http.Transport{TLSClientConfig: tlsconfig.Client(nil, cert, roots)}
//
// Key and chain are adopted together, when they belong together and are valid now; else
// the last good pair stays, and [refresh.Health] tells why. [Certificate.Health] also
// tells when the end of the certificate is near and there is no other.
//
// To change roots without a failed handshake, have everybody trust both the old and the
// new, then change the certificates, then take the old roots away. Connections that are
// open stay open; sessions are not resumed under other roots than they began with.
package tlsconfig
