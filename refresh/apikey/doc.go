// Package apikey calls APIs with a key that changes, and serves them while it does.
// The key is the password of a credential, or one of its fields.
//
// [New] makes the [http.RoundTripper] of a client. Each request carries the key of
// the moment. When the server answers 401, the store is asked, once for all requests
// that fail together, and a request whose body can be had again is sent once more
// with the new key:
//
//	r, err := refresh.New(ctx, file.JSON("/run/secrets/orders.json", nil), nil)
//	key, err := apikey.New(ctx, r, "https://orders.example", nil)
//	client := &http.Client{Transport: key}
//
// The key goes to one origin only, and never where a redirect has led elsewhere.
//
// [NewAcceptor] makes the middleware of a server, which accepts the current key and for a
// time the one before. To rotate without a failed request, give servers the next key
// first (as a field of their credential, see [AcceptorOptions.Also]), then clients, and
// take the old one away when [Acceptor.LastOld] stands still.
package apikey
