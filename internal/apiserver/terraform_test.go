package apiserver_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
)

// TestTerraformCrashedOnKeysWithoutAnOwner is about a field of SSH keys that
// the API's document does not have: the provider reads owner.href of every key
// that it makes, without looking whether it is there.
func TestTerraformCrashedOnKeysWithoutAnOwner(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	for path, owner := range map[string]string{
		"/projects/" + server.ProjectID + "/ssh-keys": "/metal/v1/projects/" + server.ProjectID,
		"/ssh-keys": "",
	} {
		status, text := send(t, server, server.Token, http.MethodPost, path, []byte(`{"label":"a","key":"`+testKey+`"}`))
		var key struct {
			Owner, Entity struct{ Href string }
		}
		if err := json.Unmarshal([]byte(text), &key); err != nil || status != http.StatusCreated {
			t.Fatalf("%d %s: %v", status, text, err)
		}
		if key.Owner.Href == "" || key.Owner != key.Entity || owner != "" && key.Owner.Href != owner {
			t.Errorf("%s: the owner is %q, the entity %q", path, key.Owner.Href, key.Entity.Href)
		}
	}
}

// TestTerraformSawAnAddressChange is about an organization's address without
// a state: the provider plans an empty one, and calls null another.
func TestTerraformSawAnAddressChange(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	status, text := send(t, server, server.Token, http.MethodPost, "/organizations",
		[]byte(`{"name":"a","address":{"address":"1 Street","city":"Dallas","country":"US","zip_code":"75001"}}`))
	var organization struct {
		Address struct{ State *string }
	}
	if err := json.Unmarshal([]byte(text), &organization); err != nil || status != http.StatusCreated {
		t.Fatalf("%d %s: %v", status, text, err)
	}
	if organization.Address.State == nil || *organization.Address.State != "" {
		t.Errorf("the state is not an empty text: %s", text)
	}
}
