package secretsmanager

import (
	"context"
	"fmt"
	"time"

	"github.com/rekey-go/rekey/source"
)

// A Cache of secrets, such as a *secretcache.Cache.
type Cache interface {
	GetSecretStringWithContext(ctx context.Context, secretID string) (string, error)
	GetSecretBinaryWithContext(ctx context.Context, secretID string) ([]byte, error)
}

// cacheWait bounds the wait for the cache, as requests behind a rejected login
// wait for the look that is under way.
const cacheWait = time.Second

// cached returns what the cache holds; one in trouble holds nothing.
//
// A cache may wait for other callers' requests with no regard to ctx, and keep
// the end of one caller for the next. So it is asked on a goroutine of its own
// whose context does not end, and is left to itself if that takes long. There
// is at most one such goroutine; it ends when the cache returns.
func (s *Source) cached(ctx context.Context, binary bool) source.Secret {
	if !s.asking.CompareAndSwap(false, true) {
		return source.Secret{} // it has not returned from the last time
	}
	answer := make(chan source.Secret, 1)
	go func() {
		value := s.askCache(context.WithoutCancel(ctx), binary)
		s.asking.Store(false)
		answer <- value
	}()
	patience := time.NewTimer(cacheWait)
	defer patience.Stop()
	select {
	case value := <-answer:
		return value
	case <-patience.C:
	case <-ctx.Done():
	}
	return source.Secret{}
}

func (s *Source) askCache(ctx context.Context, binary bool) (value source.Secret) {
	defer func() {
		if p := recover(); p != nil { // one without room does
			s.opts.Logger.Warn("rekey: the cache panicked, and the store is asked", "secret", s.id, "panic", fmt.Sprintf("%T", p))
			value = source.Secret{}
		}
	}()
	var text string
	var err error
	if binary {
		var bytes []byte
		bytes, err = s.opts.Cache.GetSecretBinaryWithContext(ctx, s.id)
		text = string(bytes)
	} else {
		text, err = s.opts.Cache.GetSecretStringWithContext(ctx, s.id)
	}
	if err != nil {
		return source.Secret{}
	}
	return source.NewSecret(text)
}
