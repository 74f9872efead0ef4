package apiserver

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// CredentialsFile is the name, in the data directory, of the file that says
// how to use the server.
const CredentialsFile = "credentials.json"

// bootstrap sees to it that there are a user, an organization, a project and
// a token, and returns the credentials to use them with. What is given in cfg
// counts most, then what the file of an earlier start says. A store whose
// file was lost gets another token: only its hash is known of the old one,
// and whoever may write the data directory owns the server anyway.
func bootstrap(ctx context.Context, cfg Config, records *store.Store) (packet.Credentials, error) {
	earlier, err := readCredentials(cfg.DataDir)
	if err != nil {
		return packet.Credentials{}, err
	}
	credentials := packet.Credentials{APIToken: cfg.Token, ProjectID: cfg.ProjectID}.Or(earlier)

	err = records.Update(ctx, func(tx *store.Tx) error {
		now := cfg.Clock.Now()
		user := firstUser(tx, now)
		if credentials.ProjectID == "" {
			credentials.ProjectID = uuid.NewString()
			if projects := tx.Projects.All(); len(projects) > 0 {
				credentials.ProjectID = projects[0].Value.ID
			}
		}
		if _, ok := tx.Projects.Get(credentials.ProjectID); !ok {
			tx.Projects.Create(tx, &store.Project{
				ID: credentials.ProjectID, OrganizationID: user.OrganizationID, Name: "packetyard", CreatedAt: now,
			})
		}
		if credentials.APIToken == "" {
			credentials.APIToken = rand.Text()
		}
		if hash := hashToken(credentials.APIToken); !exists(&tx.Tokens, hash) {
			tx.Tokens.Create(tx, &store.Token{
				Hash: hash, ID: uuid.NewString(), UserID: user.ID, Description: "admin", CreatedAt: now,
			})
		}
		return nil
	})
	if err != nil {
		return packet.Credentials{}, fmt.Errorf("making the first user, project and token: %w", err)
	}
	return credentials, nil
}

func exists[T any](table *store.Table[T], id string) bool {
	_, ok := table.Get(id)
	return ok
}

// firstUser finds the user that owns the server, or makes it with its
// organization.
func firstUser(tx *store.Tx, now time.Time) *store.User {
	if users := tx.Users.All(); len(users) > 0 {
		return users[0].Value
	}
	organization := &store.Organization{ID: uuid.NewString(), Name: "Packetyard", CreatedAt: now}
	user := &store.User{
		ID:             uuid.NewString(),
		OrganizationID: organization.ID,
		Email:          "admin@packetyard.example",
		FirstName:      "Packetyard",
		LastName:       "Admin",
		CreatedAt:      now,
	}
	tx.Organizations.Create(tx, organization)
	tx.Users.Create(tx, user)
	return user
}

func readCredentials(dir string) (credentials packet.Credentials, err error) {
	path := filepath.Join(dir, CredentialsFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return credentials, nil
	}
	if err != nil {
		return credentials, fmt.Errorf("reading the credentials of an earlier start: %w", err)
	}
	if json.Unmarshal(data, &credentials) != nil {
		// The error would repeat a part of the file.
		return credentials, fmt.Errorf("reading the credentials of an earlier start: %s is not JSON; remove it to get another token", path)
	}
	return credentials, nil
}

// writeCredentials replaces the file in one step, so that whoever reads it
// while the server starts sees all of it or the earlier one.
func writeCredentials(dir string, credentials packet.Credentials) error {
	data, err := json.MarshalIndent(credentials, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the credentials: %w", err)
	}
	file, err := os.CreateTemp(dir, CredentialsFile+".*")
	if err != nil {
		return fmt.Errorf("writing the credentials: %w", err)
	}
	// os.CreateTemp gives the file mode 0600.
	_, err = file.Write(append(data, '\n'))
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(file.Name(), filepath.Join(dir, CredentialsFile))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing the credentials: %w", err), os.Remove(file.Name()))
	}
	return nil
}
