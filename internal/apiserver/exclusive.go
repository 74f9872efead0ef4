package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/packetyard/packetyard/internal/apiserver/bgp"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/internal/machines"
)

// gate lets requests in, and keeps them out while all records are exchanged.
// A nil gate is always open.
type gate struct{ mu sync.RWMutex }

// enter waits until the gate is open, and returns what to call at the end.
func (g *gate) enter() (leave func()) {
	if g == nil {
		return func() {}
	}
	g.mu.RLock()
	return g.mu.RUnlock
}

// behind has a handler answer only while the gate is open.
func (g *gate) behind(handler http.Handler) http.Handler {
	if g == nil {
		return handler
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		defer g.enter()()
		handler.ServeHTTP(w, req)
	})
}

// drive runs the worker, and stops it for whoever wants the records for
// himself.
func (s *Server) drive(ctx context.Context) error {
	for {
		turn, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		worker := s.newWorker()
		var batches sync.WaitGroup
		batches.Go(func() { s.api.finishBatches(turn) })
		go func() { ended <- worker.Run(turn, func() { s.arrived(waitForMachines) }) }()
		select {
		case err := <-ended:
			stop()
			batches.Wait()
			return err
		case work := <-s.alone:
			stop()
			// Being stopped in the middle of something is an error for the worker,
			// and what was meant here.
			<-ended
			batches.Wait()
			work <- struct{}{}
			<-work
		}
	}
}

// exclusively calls fn while no request is carried out and no device is
// advanced. The server must run, and its context end when the server does.
func (s *Server) exclusively(ctx context.Context, fn func(context.Context) error) error {
	s.edge.gate.mu.Lock()
	defer s.edge.gate.mu.Unlock()
	work := make(chan struct{})
	select {
	case s.alone <- work:
	case <-ctx.Done():
		return fmt.Errorf("waiting for the machines to be left alone: %w", ctx.Err())
	}
	<-work
	defer close(work)
	return fn(ctx)
}

func (s *Server) newWorker() *lifecycle.Worker {
	var elected func(context.Context, *store.Leadership)
	if switches, ok := s.cfg.Driver.(machines.BGP); ok {
		elected = bgp.NewSwitches(bgp.SwitchesConfig{
			Store: s.store, Driver: switches, Clock: s.cfg.Clock, Logger: s.cfg.Logger,
		}).Run
	}
	return lifecycle.New(lifecycle.Config{
		Elected:   elected,
		Store:     s.store,
		Driver:    s.cfg.Driver,
		Catalogue: s.api.catalogue,
		Clock:     s.cfg.Clock,
		Profile:   s.cfg.Profile,
		Logger:    s.cfg.Logger,
	})
}
