// Package containertest runs rekey against PostgreSQL in a container, by
// testcontainers-go. It is a module of its own, so that nobody who uses rekey
// inherits Docker's client.
package containertest

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
)

const (
	envImage      = "REKEY_TEST_POSTGRES_IMAGE"
	officialImage = "postgres:17"
	localImage    = "postgres:15-local"
)

// image names the image to run: the one that the environment names, the local
// one where it is present, the official one where it can be had, and else the
// local one, built by image.sh.
func image(ctx context.Context) (string, error) {
	if named := os.Getenv(envImage); named != "" {
		return named, nil
	}
	if docker(ctx, "image", "inspect", localImage) == nil {
		return localImage, nil
	}
	if docker(ctx, "image", "inspect", officialImage) == nil {
		return officialImage, nil
	}
	noPull := docker(ctx, "pull", "-q", officialImage)
	if noPull == nil {
		return officialImage, nil
	}
	if out, err := exec.CommandContext(ctx, "sh", "image.sh").CombinedOutput(); err != nil {
		return "", fmt.Errorf("no PostgreSQL image: %w; building one: %w\n%s", noPull, err, out)
	}
	return localImage, nil
}

// docker runs the client for its exit status.
func docker(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("docker %s: %w: %s", args[0], err, out)
	}
	return nil
}

// settle makes testcontainers fit a machine that is a container itself or looks
// like one, without overruling anyone. Where root works beside its own daemon,
// published ports are on the loopback, not on the gateway that would be
// guessed, and the reaper, an image of its own, may not be had: tests remove
// their containers themselves.
func settle() error {
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
