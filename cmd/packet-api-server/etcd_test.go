package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// asEtcd makes the test's own executable a member of an etcd cluster, which
// its value describes.
const asEtcd = "PACKETYARD_TEST_AS_ETCD"

// member is one member of an etcd cluster.
type member struct {
	Name, Dir, Peer, Client, Cluster string

	cmd *exec.Cmd
}

// runEtcd is what the member's process does until it is ended.
func runEtcd(description string) error {
	var m member
	if err := json.Unmarshal([]byte(description), &m); err != nil {
		return err
	}
	at := func(text string) []url.URL {
		address, err := url.Parse(text)
		if err != nil {
			panic(err)
		}
		return []url.URL{*address}
	}
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = m.Name, m.Dir
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = at(m.Peer), at(m.Peer)
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = at(m.Client), at(m.Client)
	cfg.InitialCluster = m.Cluster
	cfg.TickMs, cfg.ElectionMs = 50, 500
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	return <-etcd.Err()
}

// freeAddress is a port of this host that nothing listened on a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return "http://" + listener.Addr().String()
}

// startEtcd starts an etcd cluster of processes.
func startEtcd(t *testing.T, size int) []*member {
	t.Helper()
	dir := t.TempDir()
	var members []*member
	var cluster []string
	for i := range size {
		m := &member{Name: fmt.Sprintf("m%d", i), Peer: freeAddress(t), Client: freeAddress(t)}
		m.Dir = filepath.Join(dir, m.Name)
		members = append(members, m)
		cluster = append(cluster, m.Name+"="+m.Peer)
	}
	for _, m := range members {
		m.Cluster = strings.Join(cluster, ",")
		m.start(t)
		t.Cleanup(m.kill)
	}
	for _, m := range members {
		m.waitReady(t)
	}
	return members
}

func (m *member) start(t *testing.T) {
	t.Helper()
	description, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	m.cmd = exec.Command(os.Args[0])
	m.cmd.Env = append(os.Environ(), asEtcd+"="+string(description))
	m.cmd.Stderr = os.Stderr
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

func (m *member) kill() {
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait()
}

// waitReady waits until the member answers what only a member of a cluster
// with a leader can.
func (m *member) waitReady(t *testing.T) {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{m.Client}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	eventually(t, "etcd member "+m.Name+" is ready", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.Get(ctx, "x")
		return err == nil
	})
}
