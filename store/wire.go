package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	wireChannel = "usher"
	wireSilence = 10 * time.Second // after which the connection is tried
	// MaxWord is how many bytes Tell takes at once: PostgreSQL's bound, which is below 8000.
	MaxWord = 7999
)

// Tell says something to all replicas that listen, this one too. What is told is heard in one order by all. On SQLite nobody is there.
func (s *Store) Tell(ctx context.Context, word string) error {
	if s.pool == nil {
		return nil
	}
	_, err := s.pool.Exec(ctx, `SELECT pg_notify($1, $2)`, wireChannel, word)
	return err
}

// Listen calls heard with what any replica tells, one after the other, until ctx ends or the connection breaks. Before the first,
// it calls begun: what was told before that is lost.
func (s *Store) Listen(ctx context.Context, begun func(), heard func(word string)) error {
	if s.pool == nil {
		return errors.New("nobody to listen to")
	}
	conn, err := connect(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, `LISTEN `+wireChannel); err != nil {
		return err
	}
	begun()
	for {
		n, err := patiently(ctx, wireSilence, conn.WaitForNotification)
		switch {
		case err == nil:
			heard(n.Payload)
		case ctx.Err() != nil:
			return ctx.Err()
		case conn.IsClosed():
			return err
		default:
			if err := ping(ctx, conn); err != nil {
				return err
			}
		}
	}
}

// connect opens a session of its own. The server is to notice soon when this machine is gone.
func connect(ctx context.Context, like *pgx.ConnConfig) (*pgx.Conn, error) {
	config := like.Copy()
	for name, value := range map[string]string{"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"} {
		if _, set := config.RuntimeParams[name]; !set {
			config.RuntimeParams[name] = value
		}
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return conn, nil
}

// ping tries whether a session is still there.
func ping(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	return conn.Ping(ctx)
}

// patiently calls fn with a bound on its time.
func patiently[T any](ctx context.Context, bound time.Duration, fn func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	return fn(ctx)
}
