package yard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/packetyard/packetyard/internal/yard/statedir"
	"github.com/packetyard/packetyard/internal/yard/supervisor"
	"github.com/packetyard/packetyard/pkg/packet"
)

// credentials are those that the API server wrote when it started for the
// first time, with the address that it has now.
func credentials(dir statedir.Dir, report supervisor.Report) (packet.Credentials, error) {
	path := filepath.Join(dir.API(), "credentials.json")
	content, err := os.ReadFile(path)
	if err != nil {
		return packet.Credentials{}, fmt.Errorf("reading the credentials of the Packet API: %w", err)
	}
	var found packet.Credentials
	if err := json.Unmarshal(content, &found); err != nil {
		// The decoder's text may hold a part of the file, which is secret.
		return packet.Credentials{}, fmt.Errorf("the credentials of the Packet API in %s are not JSON", path)
	}
	found.APIURL = report.APIURL()
	return found, nil
}

// api is the yard's Packet API with the project that everything is in.
type api struct {
	*packet.Client
	credentials packet.Credentials
}

func newAPI(dir statedir.Dir, report supervisor.Report) (*api, error) {
	found, err := credentials(dir, report)
	if err != nil {
		return nil, err
	}
	client, err := packet.NewClient(packet.Config{
		BaseURL:   found.APIURL,
		Token:     found.APIToken,
		UserAgent: "packetyard-up",
		Timeout:   10 * time.Second,
		// It is our own server: whoever types a command waits for the answer.
		QPS: -1,
	})
	if err != nil {
		return nil, err
	}
	return &api{Client: client, credentials: found}, nil
}

// restartsThatMeanFailure is how often the API server may end soon after its
// start until nobody waits for it any longer.
const restartsThatMeanFailure = 5

// waitForAPI waits until the Packet API answers.
func waitForAPI(ctx context.Context, dir statedir.Dir, detail func(string, ...any)) (*api, error) {
	var ready *api
	err := poll(ctx, 50*time.Millisecond, func(ctx context.Context) (bool, error) {
		report, alive, err := supervisor.ReadReport(dir)
		if err != nil {
			return false, err
		}
		if !alive {
			return false, fmt.Errorf("the supervisor has ended:\n%s", tail(dir.SupervisorLog(), 10))
		}
		if report.APIServer.FailedInARow >= restartsThatMeanFailure {
			return false, fmt.Errorf("the Packet API server ended %d times in a row (%s); the end of %s:\n%s",
				report.APIServer.FailedInARow, report.APIServer.LastExit, dir.APIServerLog(), tail(dir.APIServerLog(), 10))
		}
		candidate, err := newAPI(dir, report)
		if errors.Is(err, fs.ErrNotExist) {
			detail("waiting for its credentials")
			return false, nil
		}
		if err != nil {
			return false, err
		}
		_, err = candidate.Project(ctx, candidate.credentials.ProjectID)
		switch {
		case err == nil:
			ready = candidate
			return true, nil
		case packet.IsTransient(err):
			detail("waiting for its first answer")
			return false, nil
		default:
			return false, fmt.Errorf("asking the Packet API for the first time: %w", err)
		}
	})
	return ready, err
}
