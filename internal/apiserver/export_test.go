package apiserver

import (
	"context"

	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// Owned tells whether the path of a route names an object that belongs to
// somebody.
func (r Route) Owned() bool { return r.of != nil }

// AddToken makes a token of any kind, which the API itself lets nobody do.
func (s *Server) AddToken(ctx context.Context, secret string, token store.Token) error {
	token.Hash = hashToken(secret)
	return s.store.Update(ctx, func(tx *store.Tx) error {
		tx.Tokens.Create(tx, &token)
		return nil
	})
}

// Change writes records as no operation of the API does.
func (s *Server) Change(ctx context.Context, fn func(*store.Tx) error) error {
	return s.store.Update(ctx, fn)
}
