package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// kills is how often the server is killed. The moments are random, so the
// number is what makes the test one.
const kills = 200

// TestKill kills the server again and again while several clients change
// things, and compares what they were told with what is there: nothing
// confirmed is lost, nothing is held twice, nothing is half made.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(20260630, 1))
	p := start(t, dir)
	var ledgers []*ledger
	for i := range 6 {
		ledgers = append(ledgers, newLedger(fmt.Sprintf("c%d", i), uint64(i), p.credentials.APIToken, p.credentials.ProjectID))
	}
	for round := range kills {
		var wait sync.WaitGroup
		for _, l := range ledgers {
			wait.Go(func() {
				for l.act(t.Context(), p.credentials.APIURL) {
				}
				l.http.CloseIdleConnections()
			})
		}
		// The moment of the kill is what the test is about; nothing is waited for.
		time.Sleep(time.Duration(5+random.IntN(150)) * time.Millisecond)
		if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		wait.Wait()
		_ = p.cmd.Wait()
		p = start(t, dir)
		if round%5 == 0 {
			// In the other rounds the next kill finds what this one left undone.
			compare(t, ledgers[0].settled(t, p.credentials.APIURL), ledgers)
		}
		if t.Failed() {
			t.Fatalf("after %d kills; the server's log:\n%s", round+1, p.log)
		}
	}
	compare(t, ledgers[0].settled(t, p.credentials.APIURL), ledgers)
	acknowledged := 0
	for _, l := range ledgers {
		acknowledged += l.acknowledged
	}
	t.Logf("%d kills, %d confirmed changes", kills, acknowledged)
	if acknowledged < kills {
		t.Errorf("only %d changes were confirmed, which checks little", acknowledged)
	}
	if strings.Contains(p.log.String(), "level=ERROR") {
		t.Errorf("the last server's log tells of errors:\n%s", p.log)
	}
}
