// Package pause waits without outliving what it waits for.
package pause

import (
	"context"
	"time"
)

// For waits for d, or until ctx ends; then it returns ctx's error.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
