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
// file was lost, or whose file has a token that was deleted since, gets
// another token: only its hash is known of the old one, and whoever may write
// the data directory owns the server anyway.
//
// A token that is made up is in a file of its own before it is in the store,
// so that no death of the server leaves a token in it that nobody knows.
func bootstrap(ctx context.Context, cfg Config, records *store.Store) (packet.Credentials, error) {
	earlier, err := readCredentials(cfg.DataDir)
	if err != nil {
		return packet.Credentials{}, err
	}
	given := packet.Credentials{APIToken: cfg.Token, ProjectID: cfg.ProjectID}.Or(earlier)
	var credentials packet.Credentials
	err = records.Read(ctx, func(s *store.Snapshot) error {
		credentials = choose(s, cfg, given)
		return nil
	})
	if err != nil {
		return packet.Credentials{}, fmt.Errorf("looking for the first project and token: %w", err)
	}
	if credentials.APIToken != given.APIToken {
		if err := writeFile(cfg.DataDir, newCredentialsFile, credentials); err != nil {
			return packet.Credentials{}, err
		}
	}
	err = records.Update(ctx, func(tx *store.Tx) error {
		// Another server may have made the project in the meantime.
		if chosen := choose(tx.Snapshot, cfg, given); chosen.ProjectID != "" && cfg.ProjectID == "" && tx.Projects.Len() > 0 {
			credentials.ProjectID = chosen.ProjectID
		}
		install(tx, credentials, cfg.Clock.Now())
		return nil
	})
	if err != nil {
		return packet.Credentials{}, fmt.Errorf("making the first user, project and token: %w", err)
	}
	return credentials, nil
}

// choose completes credentials. What a file names and was deleted since does
// not come back.
func choose(s *store.Snapshot, cfg Config, given packet.Credentials) packet.Credentials {
	chosen := given
	if s.Users.Len() > 0 {
		if cfg.Token == "" && !exists(&s.Tokens, hashToken(chosen.APIToken)) {
			chosen.APIToken = ""
		}
		if cfg.ProjectID == "" && !exists(&s.Projects, chosen.ProjectID) {
			chosen.ProjectID = ""
		}
	}
	if chosen.ProjectID == "" {
		chosen.ProjectID = uuid.NewString()
		if projects := s.Projects.All(); len(projects) > 0 {
			chosen.ProjectID = projects[0].Value.ID
		}
	}
	if chosen.APIToken == "" {
		chosen.APIToken = rand.Text()
	}
	return chosen
}

// install makes what credentials need to be good for something.
func install(tx *store.Tx, credentials packet.Credentials, now time.Time) {
	user := firstUser(tx, now)
	if !exists(&tx.Projects, credentials.ProjectID) {
		if tx.Projects.Len() == 0 {
			// Of two servers that start at once one makes the first project.
			tx.Projects.RequireEmpty(tx)
		}
		tx.Projects.Create(tx, &store.Project{
			ID: credentials.ProjectID, OrganizationID: user.OrganizationID, Name: "packetyard", CreatedAt: now,
		})
	}
	if hash := hashToken(credentials.APIToken); !exists(&tx.Tokens, hash) {
		tx.Tokens.Create(tx, &store.Token{
			Hash: hash, ID: uuid.NewString(), UserID: user.ID, Description: "admin", CreatedAt: now,
		})
	}
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
	tx.Users.RequireEmpty(tx)
	tx.Organizations.Create(tx, organization)
	tx.Users.Create(tx, user)
	return user
}

// newCredentialsFile has a token that is about to be made.
const newCredentialsFile = CredentialsFile + ".new"

// readCredentials reads what an earlier start wrote: the token that it was
// about to make if it died over that, else the one in use.
func readCredentials(dir string) (credentials packet.Credentials, err error) {
	for _, name := range []string{newCredentialsFile, CredentialsFile} {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return credentials, fmt.Errorf("reading the credentials of an earlier start: %w", err)
		}
		if json.Unmarshal(data, &credentials) != nil {
			// The error would repeat a part of the file.
			return packet.Credentials{}, fmt.Errorf("reading the credentials of an earlier start: %s is not JSON; remove it to get another token", path)
		}
		return credentials, nil
	}
	return credentials, nil
}

// writeCredentials says how to use the server, to those who may read its data
// directory.
func writeCredentials(dir string, credentials packet.Credentials) error {
	if err := writeFile(dir, CredentialsFile, credentials); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, newCredentialsFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the earlier credentials: %w", err)
	}
	return nil
}

// writeFile replaces a file in one step, so that whoever reads it while the
// server starts sees all of it or the earlier one, and neither is lost when
// the host dies.
func writeFile(dir, name string, credentials packet.Credentials) error {
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
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(file.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing the credentials: %w", err), os.Remove(file.Name()))
	}
	return nil
}
