package store

import (
	"context"

	"usher/invites"
)

// change commits one statement and returns how many rows it changed.
func (s *db) change(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = s.write.commit(ctx, single, func(t *tx) (err error) {
		n, err = t.exec(query, args...)
		return err
	})
	return n, err
}

// changeEach commits one statement for each of a list of rows.
func changeEach[T any](ctx context.Context, s *db, rows []T, query string, args func(T) []any) error {
	return s.write.commit(ctx, plain, func(t *tx) error {
		for _, r := range rows {
			if _, err := t.exec(query, args(r)...); err != nil {
				return err
			}
		}
		return nil
	})
}

// found turns no row changed into ErrNotFound.
func found(n int64, err error) error {
	if err == nil && n == 0 {
		return invites.ErrNotFound
	}
	return err
}

// A function of fields returns pointers to the values of a T in the order of the columns of a statement. Where T is a row
// of a table, the first column is the key given by the database, and the other pointers are also the values to insert.

// value is the fields of a T in one column.
func value[T any](v *T) []any { return []any{v} }

// into returns a function to scan a row into v.
func into[T any](v *T, fields func(*T) []any) func(row) error {
	return func(r row) error { return r.Scan(fields(v)...) }
}

// appendTo returns a function to append each row to list.
func appendTo[T any](list *[]T, fields func(*T) []any) func(row) error {
	return func(r row) error {
		var v T
		err := r.Scan(fields(&v)...)
		*list = append(*list, v)
		return err
	}
}

// all returns the rows of a reading statement.
func all[T any](ctx context.Context, s *db, fields func(*T) []any, query string, args ...any) ([]T, error) {
	var list []T
	if err := s.reads.query(ctx, appendTo(&list, fields), query, args...); err != nil {
		return nil, err
	}
	return list, nil
}

// one returns the only row of a reading statement, or ErrNotFound.
func one[T any](ctx context.Context, s *db, fields func(*T) []any, query string, args ...any) (v T, err error) {
	list, err := all(ctx, s, fields, query, args...)
	if err == nil && len(list) == 0 {
		err = invites.ErrNotFound
	}
	if err != nil {
		return v, err
	}
	return list[0], nil
}
