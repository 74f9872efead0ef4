package apiserver_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// replicas are two servers on one etcd that know one token.
func replicas(t *testing.T) (one, two *apiservertest.Server) {
	t.Helper()
	endpoints := apiservertest.StartEtcd(t)
	one = apiservertest.Start(t, apiservertest.Options{EtcdEndpoints: endpoints, Token: "shared-token"})
	two = apiservertest.Start(t, apiservertest.Options{EtcdEndpoints: endpoints, Token: "shared-token"})
	return one, two
}

// TestNoProjectIsLeftInADeletedOrganization has one process make a project in
// an organization that another deletes.
func TestNoProjectIsLeftInADeletedOrganization(t *testing.T) {
	one, two := replicas(t)
	for round := range 20 {
		_, made := raw(t, one, "POST", "/organizations", fmt.Sprintf(`{"name":"%d"}`, round))
		id := made["id"].(string)
		var created int
		var text string
		var work sync.WaitGroup
		work.Go(func() {
			created, text = send(t, one, one.Token, "POST", "/organizations/"+id+"/projects", []byte(`{"name":"inside"}`))
		})
		deleted, refusal := send(t, two, two.Token, "DELETE", "/organizations/"+id, nil)
		work.Wait()
		switch {
		case created == http.StatusCreated && deleted == http.StatusUnprocessableEntity:
		case deleted == http.StatusNoContent && (created == http.StatusNotFound || created == http.StatusUnprocessableEntity):
		default:
			t.Errorf("making a project: %d %s; deleting its organization: %d %s; want one of them to succeed", created, text, deleted, refusal)
		}
		err := two.Change(t.Context(), func(tx *store.Tx) error {
			if left := tx.Projects.Count(store.InOrganization(id)); deleted == http.StatusNoContent && left > 0 {
				t.Errorf("a deleted organization has %d projects", left)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestAnSSHKeyIsTakenOnce has two processes take the same key for the same
// project, and for the same user.
func TestAnSSHKeyIsTakenOnce(t *testing.T) {
	one, two := replicas(t)
	c := one.Client(t)
	body := []byte(`{"label":"l","key":"` + testKey + `"}`)
	for round := range 20 {
		project, err := c.CreateProject(t.Context(), packet.ProjectCreate{Name: fmt.Sprint(round)})
		if err != nil {
			t.Fatal(err)
		}
		var statuses [2]int
		var work sync.WaitGroup
		for i, server := range []*apiservertest.Server{one, two} {
			work.Go(func() {
				statuses[i], _ = send(t, server, server.Token, "POST", "/projects/"+project.ID+"/ssh-keys", body)
			})
		}
		work.Wait()
		if statuses[0]+statuses[1] != http.StatusCreated+http.StatusUnprocessableEntity {
			t.Errorf("two who take the same key are told %v, want one 201 and one 422", statuses)
		}
	}
}

// TestOurClientManagesProjectsAndKeys uses what our client has for that, each
// answer checked against the document.
func TestOurClientManagesProjectsAndKeys(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c, _ := client(t, server)
	ctx := t.Context()
	organizations, err := c.Organizations(ctx, packet.Include("projects"))
	expect(t, "organizations", err)
	if len(organizations) != 1 {
		t.Fatalf("there are %d organizations, want one", len(organizations))
	}
	project, err := c.CreateProject(ctx, packet.ProjectCreate{Name: "made", OrganizationID: organizations[0].ID})
	expect(t, "create", err)
	name := "renamed"
	project, err = c.UpdateProject(ctx, project.ID, packet.ProjectUpdate{Name: &name, Tags: &[]string{"a"}})
	expect(t, "update", err)
	if project.Name != name || len(project.Tags) != 1 {
		t.Errorf("updated to %+v, want the new name and a tag", project)
	}
	key, err := c.CreateProjectAPIKey(ctx, project.ID, packet.APIKeyCreate{Description: "d", ReadOnly: true})
	expect(t, "create a key", err)
	keys, err := c.ProjectAPIKeys(ctx, project.ID)
	expect(t, "keys", err)
	if len(keys) != 1 || keys[0].ID != key.ID || !keys[0].ReadOnly || keys[0].Token != "" {
		t.Errorf("the project's keys are %+v, want the one that was made, without its secret", keys)
	}
	expect(t, "delete the key", c.DeleteAPIKey(ctx, key.ID))
	expect(t, "delete the project", c.DeleteProject(ctx, project.ID))
}
