package kubeproxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// udpIdle ends a client's session after this time without an answer, as
	// upstream's connection tracking does.
	udpIdle = 30 * time.Second
	// udpSessions limits the clients that a frontend serves at once.
	udpSessions = 1024
	// udpPacket is the largest UDP payload.
	udpPacket = 65535
)

// udpServer forwards datagrams, and the answers back to the client that asked.
type udpServer struct {
	ctx    context.Context // Ends the dialling of backends.
	log    *slog.Logger
	conn   *net.UDPConn
	choose func() []netip.AddrPort

	mu       sync.Mutex
	sessions map[netip.AddrPort]*net.UDPConn
}

// serveUDP forwards datagrams to the backends. The returned function closes the
// frontend and its sessions.
func serveUDP(ctx context.Context, log *slog.Logger, address netip.AddrPort, choose func() []netip.AddrPort) (func(), error) {
	listener, err := (&net.ListenConfig{}).ListenPacket(ctx, network("udp", address.Addr()), address.String())
	if err != nil {
		return nil, err
	}
	s := &udpServer{ctx: ctx, log: log, conn: listener.(*net.UDPConn), choose: choose, sessions: map[netip.AddrPort]*net.UDPConn{}}
	go s.serve()
	stopped := context.AfterFunc(ctx, s.close)
	return func() {
		stopped()
		s.close()
	}, nil
}

func (s *udpServer) serve() {
	packet := make([]byte, udpPacket)
	for {
		n, client, err := s.conn.ReadFromUDPAddrPort(packet)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // An ICMP error of an earlier answer.
		}
		session, err := s.session(client)
		if err != nil {
			s.log.Info("dropping a datagram", "address", s.conn.LocalAddr(), "error", err)
			continue
		}
		// A refused datagram is lost, as on any network; the client asks again.
		_, _ = session.Write(packet[:n])
	}
}

func (s *udpServer) session(client netip.AddrPort) (*net.UDPConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if session, ok := s.sessions[client]; ok {
		return session, nil
	}
	if len(s.sessions) >= udpSessions {
		return nil, errors.New("too many clients at once")
	}
	backends := s.choose()
	if len(backends) == 0 {
		return nil, errors.New("no backend")
	}
	conn, err := (&net.Dialer{}).DialContext(s.ctx, "udp", backends[0].String())
	if err != nil {
		return nil, err
	}
	session := conn.(*net.UDPConn)
	s.sessions[client] = session
	go s.answer(client, session)
	return session, nil
}

// answer passes a backend's datagrams to the client until none comes any more.
func (s *udpServer) answer(client netip.AddrPort, session *net.UDPConn) {
	defer func() {
		s.mu.Lock()
		delete(s.sessions, client)
		s.mu.Unlock()
		_ = session.Close()
	}()
	packet := make([]byte, udpPacket)
	for {
		if err := session.SetReadDeadline(time.Now().Add(udpIdle)); err != nil {
			return
		}
		n, err := session.Read(packet)
		if err != nil {
			return // Idle, refused or closed: the next datagram starts anew.
		}
		if _, err := s.conn.WriteToUDPAddrPort(packet[:n], client); err != nil {
			return
		}
	}
}

func (s *udpServer) close() {
	_ = s.conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, session := range s.sessions {
		_ = session.Close()
	}
}
