package apiserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// seeded is what was made of a seed.
type seeded struct {
	Projects []seededProject `json:"projects"`
}

type seededProject struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Made lists the IDs of what was made in the project, by kind, in the
	// order of the seed.
	Made map[string][]string `json:"made"`
}

// seed makes all that a seed says, or nothing.
func (c *control) seed(req *http.Request) (any, error) {
	data, err := readControlBody(req)
	if err != nil {
		return nil, err
	}
	parsed, err := parseSeed(data, c.server.api.catalogue)
	if err != nil {
		return nil, err
	}
	var made seeded
	err = c.server.exclusively(req.Context(), func(ctx context.Context) (err error) {
		made, err = c.server.plant(ctx, parsed)
		return err
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

// seedFile plants the file that the server was started with, where nobody
// used the server before: after a restart, what became of the seed counts.
func (s *Server) seedFile(ctx context.Context) error {
	if s.cfg.SeedFile == "" {
		return nil
	}
	data, err := os.ReadFile(s.cfg.SeedFile)
	if err != nil {
		return fmt.Errorf("reading the seed: %w", err)
	}
	parsed, err := parseSeed(data, s.api.catalogue)
	if err == nil && s.fresh() {
		_, err = s.plant(ctx, parsed)
	}
	if err != nil {
		return fmt.Errorf("seeding from %s: %w", s.cfg.SeedFile, err)
	}
	return nil
}

// fresh tells whether there is nothing but what the first start makes.
func (s *Server) fresh() (fresh bool) {
	s.store.Peek(func(snapshot *store.Snapshot) {
		fresh = snapshot.Users.Len() <= 1 && snapshot.Projects.Len() <= 1 && snapshot.Tokens.Len() <= 1 &&
			snapshot.Devices.Len()+snapshot.Reservations.Len()+snapshot.SSHKeys.Len()+snapshot.HardwareReservations.Len() == 0
	})
	return fresh
}

// plant makes what a seed says. Nobody else may write meanwhile.
func (s *Server) plant(ctx context.Context, what *seed) (made seeded, err error) {
	before, err := s.saveRecords(ctx)
	if err != nil {
		return made, err
	}
	g := &gardener{server: s, ctx: ctx, now: s.cfg.Clock.Now(), token: hashToken(s.credentials.APIToken)}
	err = s.undoable(ctx, before, func() error {
		// Two attempts at the transaction must not make two lists.
		err := s.store.Update(ctx, func(tx *store.Tx) error {
			g.made = seeded{Projects: []seededProject{}}
			return g.plantRecords(tx, what)
		})
		if err != nil {
			return err
		}
		return g.plantByRequests(what)
	})
	return g.made, err
}

// gardener plants one seed.
type gardener struct {
	server *Server
	ctx    context.Context
	now    time.Time
	// token is the hash of the one that the requests are sent with.
	token string
	admin store.Token
	made  seeded
}

// plantRecords makes what the API itself lets nobody make, or not with an ID
// or a secret of one's choice.
func (g *gardener) plantRecords(tx *store.Tx, what *seed) error {
	row, ok := tx.Tokens.Get(g.token)
	if !ok {
		return errors.New("the server's own token is gone: reset the server")
	}
	g.admin = *row.Value
	owner, ok := tx.Users.Get(g.admin.UserID)
	if !ok {
		return errors.New("the server's own user is gone: reset the server")
	}
	organizations := map[string]string{"": owner.Value.OrganizationID}
	users := map[string]string{"": owner.Value.ID}
	var p problems
	for i, user := range what.Users {
		at := fmt.Sprintf("users[%d]", i)
		name := cmp.Or(user.Organization, user.Email)
		if organizations[name] == "" {
			organizations[name] = uuid.NewString()
			tx.Organizations.Create(tx, &store.Organization{
				// The server's own user may see to all that is on the server.
				ID: organizations[name], Name: name, Members: []string{owner.Value.ID}, CreatedAt: g.now,
			})
		}
		id := cmp.Or(user.ID, uuid.NewString())
		if exists(&tx.Users, id) {
			p.add("%s.id %s exists", at, id)
		}
		if users[name] == "" {
			users[name] = id
		}
		tx.Users.Create(tx, &store.User{
			ID: id, OrganizationID: organizations[name], Email: user.Email, FirstName: user.FirstName, LastName: user.LastName, CreatedAt: g.now,
		})
		g.tokens(tx, &p, at, user.Tokens, store.Token{UserID: id})
	}
	for i, project := range what.Projects {
		at := fmt.Sprintf("projects[%d]", i)
		id := cmp.Or(project.ID, uuid.NewString())
		if row, ok := tx.Projects.Get(id); !ok {
			tx.Projects.Create(tx, &store.Project{
				ID: id, OrganizationID: organizations[project.Organization], Name: cmp.Or(project.Name, id), MaxDevices: project.MaxDevices, CreatedAt: g.now,
			})
		} else if project.MaxDevices != nil || project.Name != "" {
			changed := *row.Value
			changed.Name = cmp.Or(project.Name, changed.Name)
			if project.MaxDevices != nil {
				changed.MaxDevices = project.MaxDevices
			}
			tx.Projects.Update(tx, row, &changed)
		}
		made := seededProject{ID: id, Name: project.Name, Made: map[string][]string{}}
		g.tokens(tx, &p, at, project.Tokens, store.Token{UserID: users[project.Organization], ProjectID: id})
		for j, hardware := range project.Hardware {
			for range max(hardware.Count, 1) {
				reserved := g.hardware(hardware, id)
				if exists(&tx.HardwareReservations, reserved.ID) {
					p.add("%s.hardware_reservations[%d].id %s exists", at, j, reserved.ID)
				}
				tx.HardwareReservations.Create(tx, reserved)
				made.Made["hardware_reservations"] = append(made.Made["hardware_reservations"], reserved.ID)
			}
		}
		g.made.Projects = append(g.made.Projects, made)
	}
	for _, capacity := range what.Capacity {
		record := &store.Capacity{Plan: capacity.Plan, Metro: capacity.Metro, Servers: capacity.Servers, UpdatedAt: g.now}
		if row, ok := tx.Capacities.Get(store.CapacityID(capacity.Plan, capacity.Metro)); ok {
			tx.Capacities.Update(tx, row, record)
		} else {
			tx.Capacities.Create(tx, record)
		}
	}
	return p.err()
}

func (g *gardener) tokens(tx *store.Tx, p *problems, at string, tokens []seedToken, as store.Token) {
	for i, token := range tokens {
		as := as
		as.Hash, as.ID, as.CreatedAt = hashToken(token.Token), uuid.NewString(), g.now
		as.Description, as.ReadOnly = token.Description, token.ReadOnly
		if exists(&tx.Tokens, as.Hash) {
			p.add("%s.tokens[%d].token is one of the server's already", at, i)
		}
		tx.Tokens.Create(tx, &as)
	}
}

func (g *gardener) hardware(what seedHardware, projectID string) *store.HardwareReservation {
	record := &store.HardwareReservation{
		ID: cmp.Or(what.ID, uuid.NewString()), ProjectID: projectID, Plan: what.Plan, Metro: what.Metro,
		Spare: what.Spare, NeedOfService: what.NeedOfService, CreatedAt: g.now,
	}
	if facility := g.server.api.catalogue.FacilityIn(what.Metro); facility != nil {
		record.Facility = facility.Code
	}
	return record
}
