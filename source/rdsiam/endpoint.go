package rdsiam

import (
	"errors"
	"net"
	"strconv"
	"strings"
)

// parseEndpoint returns the host of host:port. Errors say what is wrong with
// it. It lets through what can be signed and nothing else: a token for another
// text than the server's own name is rejected without a word of why.
func parseEndpoint(endpoint string) (host string, err error) {
	const form = "; it should be host:port, such as db.abc123.eu-central-1.rds.amazonaws.com:5432"
	if strings.Contains(endpoint, "://") {
		return "", errors.New("it is a URL" + form)
	}
	host, port, err := net.SplitHostPort(endpoint)
	switch n, bad := strconv.ParseUint(port, 10, 16); {
	case endpoint == "":
		return "", errors.New("it is empty" + form)
	case err != nil:
		return "", errors.New("it has no port, or brackets are missing around an IPv6 address" + form)
	case host == "":
		return "", errors.New("it has no host" + form)
	case bad != nil || n == 0 || port[0] == '0':
		return "", errors.New("the port is not a number from 1 to 65535" + form)
	}
	if endpoint[0] == '[' {
		if !strings.Contains(host, ":") || net.ParseIP(host) == nil {
			return "", errors.New("there is no IPv6 address in the brackets" + form)
		}
		return host, nil
	}
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
	if strings.ContainsFunc(host, func(c rune) bool { return !strings.ContainsRune(allowed, c) }) {
		return "", errors.New("the host has a character that no name of a host has" + form)
	}
	return host, nil
}

// regionOf returns the region in a host name of RDS, or nothing. In China it
// stands on the other side of the service.
func regionOf(host string) string {
	host = strings.ToLower(host)
	rest, ok := strings.CutSuffix(host, ".amazonaws.com")
	if !ok {
		if rest, ok = strings.CutSuffix(host, ".amazonaws.com.cn"); !ok {
			return ""
		}
	}
	labels := strings.Split(rest, ".")
	if len(labels) < 3 {
		return ""
	}
	switch a, b := labels[len(labels)-2], labels[len(labels)-1]; "rds" {
	case b:
		return a
	case a:
		return b
	}
	return ""
}
