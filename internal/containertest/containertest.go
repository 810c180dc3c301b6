// Package containertest has what integration tests with testcontainers-go need
// here: images of PostgreSQL and Vault, official ones or, where none can be
// pulled, some of the same contract that are built from what the machine can
// reach; and settings for machines that are containers themselves. Its own tests
// run rekey against PostgreSQL in a container.
//
// It is a module of its own, so that nobody who uses rekey inherits Docker's
// client. Run setup.sh beforehand, which starts Docker and readies the images.
package containertest

import (
	"cmp"
	"os"
	"testing"
)

// Postgres names an image of PostgreSQL: that of REKEY_TEST_POSTGRES_IMAGE,
// postgres:15-local where it is present, postgres:17 where it can be had, or else
// postgres:15-local, built by postgres-image.sh. It fails the test where there
// is no Docker or no image.
func Postgres(t testing.TB) string {
	t.Helper()
	return postgres.need(t)
}

// Vault names an image of Vault that has the database plugin for PostgreSQL:
// that of REKEY_TEST_VAULT_IMAGE, vault:1.21-local where it is present,
// hashicorp/vault:1.21 where it can be had, or else vault:1.21-local, built by
// vault-image.sh. It fails the test where there is no Docker or no image.
func Vault(t testing.TB) string {
	t.Helper()
	return vault.need(t)
}

// Settle makes testcontainers fit a machine that is a container itself or looks
// like one, without overruling anyone. Where root works beside its own daemon,
// published ports are on the loopback, not on the gateway that would be
// guessed, and the reaper, an image of its own, may not be had: tests remove
// their containers themselves. Call it first in TestMain.
func Settle() error {
	if os.Geteuid() != 0 || os.Getenv("DOCKER_HOST") != "" {
		return nil
	}
	for name, value := range map[string]string{
		"TESTCONTAINERS_RYUK_DISABLED": "true",
		"TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1",
	} {
		if err := os.Setenv(name, cmp.Or(os.Getenv(name), value)); err != nil {
			return err
		}
	}
	return nil
}
