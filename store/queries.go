package store

import (
	"context"

	"usher/invites"
)

// change commits one statement and returns how many rows it changed.
func (s *db) change(ctx context.Context, query string, args ...any) (n int64, err error) {
	return s.changeAs(ctx, single, query, args...)
}

func (s *db) changeAs(ctx context.Context, k kind, query string, args ...any) (n int64, err error) {
	err = s.write.commit(ctx, k, func(t *tx) (err error) {
		n, err = t.exec(query, args...)
		return err
	})
	return n, err
}

// found turns no row changed into ErrNotFound.
func found(n int64, err error) error {
	if err == nil && n == 0 {
		return invites.ErrNotFound
	}
	return err
}

// all returns the rows of a reading statement.
func all[T any](ctx context.Context, h *handle, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	var list []T
	err := h.query(ctx, func(row scanner) error {
		v, err := scan(row)
		list = append(list, v)
		return err
	}, query, args...)
	if err != nil {
		return nil, err
	}
	return list, nil
}

// one returns the only row of a reading statement, or ErrNotFound.
func one[T any](ctx context.Context, h *handle, scan func(scanner) (T, error), query string, args ...any) (v T, err error) {
	list, err := all(ctx, h, scan, query, args...)
	if err == nil && len(list) == 0 {
		err = invites.ErrNotFound
	}
	if err != nil {
		return v, err
	}
	return list[0], nil
}
