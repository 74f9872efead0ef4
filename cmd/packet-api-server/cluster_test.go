package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clusterKills is how often a replica or an etcd member is killed.
const clusterKills = 40

// TestKillReplicas does what TestKill does to three servers on an etcd of
// three members, with the clients spread over the servers: it kills servers
// and members, one at a time, because two members of three are what etcd
// needs.
func TestKillReplicas(t *testing.T) {
	members := startEtcd(t, 3)
	var endpoints []string
	for _, m := range members {
		endpoints = append(endpoints, m.Client)
	}
	flag := "--etcd-endpoints=" + strings.Join(endpoints, ",")
	// One set of credentials is good for all replicas.
	first := start(t, t.TempDir(), flag)
	token, project := first.credentials.APIToken, first.credentials.ProjectID
	environment := []string{"PACKET_API_TOKEN=" + token, "PACKET_PROJECT_ID=" + project}
	replica := func() *program { return startWith(t, t.TempDir(), environment, flag) }
	replicas := []*program{first, replica(), replica()}

	random := rand.New(rand.NewPCG(20260630, 2))
	var ledgers []*ledger
	for i := range 6 {
		ledgers = append(ledgers, newLedger(fmt.Sprintf("c%d", i), uint64(100+i), token, project))
	}
	for round := range clusterKills {
		var wait sync.WaitGroup
		var over atomic.Bool
		urls := make([]string, len(replicas))
		for i, p := range replicas {
			urls[i] = p.credentials.APIURL
		}
		for i, l := range ledgers {
			wait.Go(func() {
				for at := i; !over.Load(); at++ {
					// A client whose server died goes on with the next one.
					for !over.Load() && l.act(t.Context(), urls[at%len(urls)]) {
					}
				}
				l.http.CloseIdleConnections()
			})
		}
		// The moment of the kill is what the test is about; nothing is waited for.
		time.Sleep(time.Duration(20+random.IntN(200)) * time.Millisecond)
		if victim := random.IntN(6); victim < 3 {
			replicas[victim].kill()
			replicas[victim] = replica()
		} else {
			m := members[victim-3]
			m.kill()
			m.start(t)
			m.waitReady(t)
		}
		over.Store(true)
		wait.Wait()
		if round%5 == 0 || round == clusterKills-1 {
			all := ledgers[0].settled(t, replicas[round%3].credentials.APIURL)
			compare(t, all, ledgers)
			// What one replica shows, every replica shows.
			for _, p := range replicas {
				compare(t, ledgers[0].read(t, p.credentials.APIURL), ledgers)
			}
		}
		if t.Failed() {
			t.Fatalf("after %d kills", round+1)
		}
	}
	acknowledged := 0
	for _, l := range ledgers {
		acknowledged += l.acknowledged
	}
	t.Logf("%d kills, %d confirmed changes", clusterKills, acknowledged)
	if acknowledged < clusterKills {
		t.Errorf("only %d changes were confirmed, which checks little", acknowledged)
	}
}
