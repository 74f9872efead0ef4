package apiserver_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// tenant is an organization with a user, a project, objects of every kind in
// it, and tokens.
type tenant struct {
	organization, user, project string
	// userToken may do all in the organization, projectToken all in the
	// project, readOnly may only look at it.
	userToken, projectToken, readOnly string
	// objects are IDs by kind; see kindOf.
	objects map[string]string
}

// newTenant makes a tenant that shares nothing with any other.
func newTenant(t *testing.T, server *apiservertest.Server, name string) *tenant {
	t.Helper()
	at := time.Date(2026, 6, 30, 0, 0, 0, 0, time.UTC)
	v := &tenant{
		organization: uuid.NewString(), user: uuid.NewString(), project: uuid.NewString(),
		userToken: name + "-user", projectToken: name + "-project", readOnly: name + "-read-only",
	}
	err := server.Change(t.Context(), func(tx *store.Tx) error {
		tx.Organizations.Create(tx, &store.Organization{ID: v.organization, Name: name, CreatedAt: at})
		tx.Users.Create(tx, &store.User{
			ID: v.user, OrganizationID: v.organization, Email: name + "@example.com", FirstName: name, LastName: name, CreatedAt: at,
		})
		tx.Projects.Create(tx, &store.Project{ID: v.project, OrganizationID: v.organization, Name: name, CreatedAt: at})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for secret, token := range map[string]store.Token{
		v.userToken:    {},
		v.projectToken: {ProjectID: v.project},
		v.readOnly:     {ProjectID: v.project, ReadOnly: true},
	} {
		token.ID, token.UserID, token.CreatedAt = uuid.NewString(), v.user, at
		if err := server.AddToken(t.Context(), secret, token); err != nil {
			t.Fatal(err)
		}
	}
	v.objects = makeObjects(t, server, v.userToken, v.project)
	v.objects["organizations"], v.objects["users"] = v.organization, v.user
	return v
}

// TestNobodyReachesAnothersObjects calls every operation that names an object
// with the tokens of somebody else, and expects the very answer that an ID
// gets that was made up. The operations come from the table, so a new one is
// in the test by being there.
func TestNobodyReachesAnothersObjects(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	doc := loadDocument(t)
	mine, other := newTenant(t, server, "mine"), newTenant(t, server, "other")
	before := everything(t, server, mine)
	for _, route := range apiserver.Routes() {
		if !route.Implemented() || !route.Owned() {
			continue
		}
		id, made := mine.objects[kindOf(route)]
		if !made {
			t.Errorf("%s: makeObjects makes no object of %q", route.Operation, kindOf(route))
			continue
		}
		operation, _ := documentedOperation(doc, route)
		body := validBody(t, operation)
		for _, token := range []string{other.projectToken, other.userToken} {
			status, text := send(t, server, token, route.Method, pathOf(route, id), body)
			if status != http.StatusNotFound {
				t.Errorf("%s with the token %s of another: %d %s", route.Operation, token, status, text)
			}
			if madeUp, same := send(t, server, token, route.Method, pathOf(route, uuid.NewString()), body); madeUp != status || same != text {
				t.Errorf("%s tells an object of another (%d %s) from one that does not exist (%d %s)", route.Operation, status, text, madeUp, same)
			}
		}
		if route.Method == http.MethodGet && !strings.Contains(strings.Replace(route.Path, "{", "", 1), "{") {
			if status, text := send(t, server, mine.userToken, route.Method, pathOf(route, id), nil); status == http.StatusNotFound {
				t.Errorf("%s with the owner's token: %d %s", route.Operation, status, text)
			}
		}
	}
	if after := everything(t, server, mine); after != before {
		t.Errorf("somebody else changed something:\n%s\nwas\n%s", after, before)
	}
}

// TestNobodySeesAnothersObjects asks for every list and every object with the
// tokens of somebody else, expanding all that can be, and looks for IDs.
func TestNobodySeesAnothersObjects(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	mine, other := newTenant(t, server, "mine"), newTenant(t, server, "other")
	const all = "?per_page=1000&include=project.organization.projects,organization.members,members,created_by,user,projects.devices,devices.project," +
		"assigned_to.project,ssh_keys.entity,relationships,instances,virtual_networks.assigned_to,ip_reservation.project,parent_block"
	for _, route := range apiserver.Routes() {
		if !route.Implemented() || route.Method != http.MethodGet {
			continue
		}
		for _, token := range []string{other.projectToken, other.userToken} {
			status, text := send(t, server, token, route.Method, pathOf(route, other.objects[kindOf(route)])+all, nil)
			for kind, id := range mine.objects {
				if strings.Contains(text, id) {
					t.Errorf("%s (%d) with the token %s shows another's %s: %.2000s", route.Operation, status, token, kind, text)
				}
			}
		}
	}
}

// TestNobodyUsesAnothersObjects names objects of somebody else in the bodies
// of requests, and expects the answer for IDs that were made up.
func TestNobodyUsesAnothersObjects(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	doc := loadDocument(t)
	mine, other := newTenant(t, server, "mine"), newTenant(t, server, "other")
	before := everything(t, server, mine)
	theirs := slices.Sorted(maps.Values(mine.objects))
	for _, route := range apiserver.Routes() {
		operation, _ := documentedOperation(doc, route)
		schema := bodySchema(operation)
		if !route.Implemented() || schema == nil || route.Method == http.MethodDelete {
			continue
		}
		for seed := range uint64(20) {
			for _, id := range theirs {
				answer := func(id string) (int, string) {
					g := &generator{random: rand.New(rand.NewPCG(seed, 1)), ids: []string{id}}
					body, err := json.Marshal(g.value(schema, "", 0))
					if err != nil {
						t.Fatal(err)
					}
					if !strings.Contains(string(body), id) {
						return 0, ""
					}
					status, text := send(t, server, other.userToken, route.Method, pathOf(route, other.objects[kindOf(route)]), body)
					return status, strings.ReplaceAll(text, id, "ID")
				}
				status, text := answer(id)
				if status == 0 {
					break
				}
				// What was accepted differs by the time and the IDs of what was made.
				if madeUp, same := answer(uuid.NewString()); status != madeUp || status >= 400 && text != same {
					t.Errorf("%s tells another's object (%d %s) from one that does not exist (%d %s)", route.Operation, status, text, madeUp, same)
				}
			}
		}
	}
	if after := everything(t, server, mine); after != before {
		t.Errorf("somebody else changed something:\n%s\nwas\n%s", after, before)
	}
}

// TestReadOnlyTokensChangeNothing sends every operation that changes
// something with a token that may only read.
func TestReadOnlyTokensChangeNothing(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	doc := loadDocument(t)
	mine := newTenant(t, server, "mine")
	before := everything(t, server, mine)
	asking := []string{"checkCapacityForFacility", "checkCapacityForMetro", "validateUserdata"}
	for _, route := range apiserver.Routes() {
		if !route.Implemented() || route.Method == http.MethodGet || slices.Contains(asking, route.Operation) {
			continue
		}
		operation, _ := documentedOperation(doc, route)
		status, text := send(t, server, mine.readOnly, route.Method, pathOf(route, mine.objects[kindOf(route)]), validBody(t, operation))
		// What a project's token may not even see does not exist for it.
		hidden := slices.Contains([]string{"organizations", "users", "user/api-keys"}, kindOf(route))
		if status != http.StatusForbidden && (!hidden || status != http.StatusNotFound) {
			t.Errorf("%s with a read-only token: %d %s", route.Operation, status, text)
		}
	}
	if after := everything(t, server, mine); after != before {
		t.Errorf("a read-only token changed something:\n%s\nwas\n%s", after, before)
	}
}

// pathOf is the path of a route with an ID as its first parameter, and made
// up ones as its others.
func pathOf(route apiserver.Route, id string) string {
	return fillPath(route.Path, func(i int) string {
		if i == 0 {
			return id
		}
		return uuid.NewString()
	})
}

// validBody is a body that fits the document.
func validBody(t *testing.T, operation *openapi3.Operation) []byte {
	t.Helper()
	schema := bodySchema(operation)
	if schema == nil {
		return nil
	}
	g := &generator{random: rand.New(rand.NewPCG(1, 1)), ids: []string{uuid.NewString()}}
	body, err := json.Marshal(g.value(schema, "", 0))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// everything is all that a tenant can list, for comparing.
func everything(t *testing.T, server *apiservertest.Server, of *tenant) string {
	t.Helper()
	var all strings.Builder
	for _, route := range apiserver.Routes() {
		if !route.Implemented() || route.Method != http.MethodGet || strings.Contains(route.Operation, "apacity") {
			continue
		}
		// The usage of a device goes on with time.
		if strings.Contains(route.Operation, "sage") || strings.Contains(route.Operation, "andwidth") || strings.Contains(route.Operation, "raffic") {
			continue
		}
		_, text := send(t, server, of.userToken, route.Method, pathOf(route, of.objects[kindOf(route)])+"?per_page=1000", nil)
		all.WriteString(route.Operation + " " + text + "\n")
	}
	return all.String()
}
