package apiserver_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// newKey makes an API key of a user, or of a project where one is given.
func newKey(t *testing.T, c *packet.Client, projectID string, create packet.APIKeyCreate) *packet.APIKey {
	t.Helper()
	var key *packet.APIKey
	var err error
	if projectID == "" {
		key, err = c.CreateAPIKey(t.Context(), create)
	} else {
		key, err = c.CreateProjectAPIKey(t.Context(), projectID, create)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestAProjectsKeyGetsAtNothingOfItsMaker tries with the key of a project
// what would let its holder act as the user who made it. Such a key could
// make itself a key of the user, and let its own SSH key in everywhere.
func TestAProjectsKeyGetsAtNothingOfItsMaker(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	user, err := c.CurrentUser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateProject(t.Context(), packet.ProjectCreate{Name: "other"}); err != nil {
		t.Fatal(err)
	}
	other := newKey(t, c, server.ProjectID, packet.APIKeyCreate{})
	key := newKey(t, c, server.ProjectID, packet.APIKeyCreate{Description: "of the project"})
	sshKey := `{"label":"l","key":"` + testKey + `"}`
	for _, test := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/user", "", 403},
		{"PUT", "/user", `{"first_name":"X"}`, 403},
		{"GET", "/ssh-keys", "", 403},
		{"POST", "/ssh-keys", sshKey, 403},
		{"GET", "/user/api-keys", "", 403},
		{"POST", "/user/api-keys", `{}`, 403},
		{"POST", "/projects/" + server.ProjectID + "/api-keys", `{}`, 403},
		{"DELETE", "/api-keys/" + other.ID, "", 403},
		{"DELETE", "/user/api-keys/" + other.ID, "", 403},
		{"POST", "/projects", `{"name":"x"}`, 403},
		{"POST", "/organizations", `{"name":"x"}`, 403},
		{"GET", "/organizations/" + user.DefaultOrganizationID, "", 404},
		{"PUT", "/organizations/" + user.DefaultOrganizationID, `{"name":"x"}`, 404},
		{"POST", "/organizations/" + user.DefaultOrganizationID + "/projects", `{"name":"x"}`, 404},
		{"GET", "/users/" + user.ID, "", 404},
		{"GET", "/projects/" + server.ProjectID, "", 200},
		{"POST", "/projects/" + server.ProjectID + "/ssh-keys", sshKey, 201},
	} {
		status, text := send(t, server, key.Token, test.method, test.path, []byte(test.body))
		if status != test.status {
			t.Errorf("%s %s with the key of a project: %d %s, want %d", test.method, test.path, status, text, test.status)
		}
	}
	for path, want := range map[string]string{"/organizations": `"total":0`, "/users": `"total":0`, "/projects": `"total":1`} {
		if _, text := send(t, server, key.Token, "GET", path, nil); !strings.Contains(text, want) {
			t.Errorf("GET %s with the key of a project shows %s, want %s", path, text, want)
		}
	}
	// Whoever finds a key lost can end it with itself.
	if status, text := send(t, server, key.Token, "DELETE", "/api-keys/"+key.ID, nil); status != 204 {
		t.Errorf("a key that deletes itself: %d %s", status, text)
	}
	if status, _ := send(t, server, key.Token, "GET", "/projects", nil); status != 401 {
		t.Errorf("a key that deleted itself is good for %d, want 401", status)
	}
}

// TestAReadOnlyKeyOfAUserSeesAndChangesNothing also tries the method that
// packngo changes things by.
func TestAReadOnlyKeyOfAUserSeesAndChangesNothing(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	key := newKey(t, server.Client(t), "", packet.APIKeyCreate{ReadOnly: true})
	for _, test := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/user", "", 200},
		{"GET", "/projects/" + server.ProjectID, "", 200},
		{"PUT", "/projects/" + server.ProjectID, `{"name":"x"}`, 403},
		{"PATCH", "/projects/" + server.ProjectID, `{"name":"x"}`, 403},
		{"DELETE", "/projects/" + server.ProjectID, "", 403},
		{"POST", "/user/api-keys", `{}`, 403},
		{"DELETE", "/api-keys/" + key.ID, "", 403},
		{"POST", "/userdata/validate?userdata=%23!", "", 204},
	} {
		status, text := send(t, server, key.Token, test.method, test.path, []byte(test.body))
		if status != test.status {
			t.Errorf("%s %s with a read-only key: %d %s, want %d", test.method, test.path, status, text, test.status)
		}
	}
}

// TestTheSecretOfAKeyIsToldOnce looks for it in all that can be asked for
// afterwards, and in all that is on disk.
func TestTheSecretOfAKeyIsToldOnce(t *testing.T) {
	dir := t.TempDir()
	server := apiservertest.Start(t, apiservertest.Options{DataDir: dir})
	c := server.Client(t)
	for _, project := range []string{"", server.ProjectID} {
		key := newKey(t, c, project, packet.APIKeyCreate{Description: "told once"})
		if len(key.Token) < 26 {
			t.Errorf("a secret has %d characters, want at least 26 of base 32, which are 130 bits", len(key.Token))
		}
		if text := fmt.Sprintf("%v %+v %#v", key, *key, *key); strings.Contains(text, key.Token) {
			t.Errorf("printing a key shows its secret: %s", text)
		}
		for _, path := range []string{
			"/user/api-keys?include=user", "/projects/" + server.ProjectID + "/api-keys?include=project", "/user", "/events", "/projects",
		} {
			if _, text := send(t, server, server.Token, "GET", path, nil); strings.Contains(text, key.Token) || strings.Contains(text, "hash") {
				t.Errorf("GET %s shows the secret or its hash: %s", path, text)
			}
		}
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			if bytes.Contains(data, []byte(key.Token)) {
				t.Errorf("%s has the secret in it", entry.Name())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestADeletedKeyStaysDeleted deletes the key that the server made for its
// first user. The file of credentials brought it back with the next start.
func TestADeletedKeyStaysDeleted(t *testing.T) {
	dir := t.TempDir()
	server := apiservertest.Start(t, apiservertest.Options{DataDir: dir})
	c := server.Client(t)
	keys := struct {
		APIKeys []packet.APIKey `json:"api_keys"`
	}{}
	second := newKey(t, c, "", packet.APIKeyCreate{Description: "second"})
	decode(t, server, second.Token, "/user/api-keys", &keys)
	for _, key := range keys.APIKeys {
		if key.ID == second.ID {
			continue
		}
		if status, text := send(t, server, second.Token, "DELETE", "/user/api-keys/"+key.ID, nil); status != 204 {
			t.Fatalf("deleting %s: %d %s", key.Description, status, text)
		}
	}
	if status, _ := send(t, server, server.Token, "GET", "/user", nil); status != 401 {
		t.Errorf("a deleted key is good for %d, want 401", status)
	}
	if status, text := send(t, server, second.Token, "DELETE", "/projects/"+server.ProjectID, nil); status != 204 {
		t.Fatalf("deleting the first project: %d %s", status, text)
	}
	token, project := server.Token, server.ProjectID
	server.Stop(t)

	server = apiservertest.Start(t, apiservertest.Options{DataDir: dir})
	if status, _ := send(t, server, token, "GET", "/user", nil); status != 401 {
		t.Errorf("after a restart the deleted key is good for %d, want 401", status)
	}
	if status, _ := send(t, server, second.Token, "GET", "/projects/"+project, nil); status != 404 {
		t.Errorf("after a restart the deleted project is there: %d, want 404", status)
	}
	if status, _ := send(t, server, server.Token, "GET", "/projects/"+server.ProjectID, nil); status != 200 {
		t.Errorf("the new credentials are good for %d, want 200", status)
	}
}

// TestMembersOfAnOrganizationKeepTheirKeys has two users in one organization,
// who see each other but not each other's keys. A member could delete the SSH
// keys of the others.
func TestMembersOfAnOrganizationKeepTheirKeys(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	first, err := c.CurrentUser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second := &store.User{ID: uuid.NewString(), OrganizationID: first.DefaultOrganizationID, Email: "second@example.com", FirstName: "Second", LastName: "User"}
	if err := server.Change(t.Context(), func(tx *store.Tx) error { tx.Users.Create(tx, second); return nil }); err != nil {
		t.Fatal(err)
	}
	const secret = "second-user"
	if err := server.AddToken(t.Context(), secret, store.Token{ID: uuid.NewString(), UserID: second.ID}); err != nil {
		t.Fatal(err)
	}
	key := newKey(t, c, "", packet.APIKeyCreate{})
	_, sshKey := raw(t, server, "POST", "/ssh-keys", `{"label":"l","key":"`+testKey+`"}`)
	for _, test := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/users/" + first.ID, 200},
		{"GET", "/projects/" + server.ProjectID, 200},
		{"GET", "/ssh-keys/" + sshKey["id"].(string), 404},
		{"PUT", "/ssh-keys/" + sshKey["id"].(string), 404},
		{"DELETE", "/ssh-keys/" + sshKey["id"].(string), 404},
		{"DELETE", "/user/api-keys/" + key.ID, 404},
		{"DELETE", "/api-keys/" + key.ID, 404},
	} {
		if status, text := send(t, server, secret, test.method, test.path, nil); status != test.status {
			t.Errorf("%s %s by another member: %d %s, want %d", test.method, test.path, status, text, test.status)
		}
	}
}

// TestAProjectIsKeptWhileItHasSomething deletes a project too early, and then
// in time, with more keys than fit into a transaction.
func TestAProjectIsKeptWhileItHasSomething(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	ctx := t.Context()
	project, err := c.CreateProject(ctx, packet.ProjectCreate{Name: "kept"})
	if err != nil {
		t.Fatal(err)
	}
	device := activeDevice(t, c, project.ID, order("kept"))
	ip, err := c.CreateIPReservation(ctx, project.ID, packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Quantity: 1, Metro: "da"})
	if err != nil {
		t.Fatal(err)
	}
	answer, body := raw(t, server, "DELETE", "/projects/"+project.ID, "")
	want := []string{"Cannot delete a project while it has a device", "Cannot delete a project while it has an IP reservation"}
	if texts := errorsOf(body); answer.StatusCode != http.StatusUnprocessableEntity || !slices.Equal(texts, want) {
		t.Errorf("deleting too early: %d %q, want 422 %q", answer.StatusCode, texts, want)
	}
	if err := c.DeleteIP(ctx, ip.ID); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteDevice(ctx, device.ID, false); err != nil {
		t.Fatal(err)
	}
	if err := c.RequestBGPConfig(ctx, project.ID, packet.BGPConfigRequest{DeploymentType: packet.BGPLocal, ASN: 65000}); err != nil {
		t.Fatal(err)
	}
	key := newKey(t, c, project.ID, packet.APIKeyCreate{})
	err = server.Change(ctx, func(tx *store.Tx) error {
		for i := range 120 {
			tx.SSHKeys.Create(tx, &store.SSHKey{ID: uuid.NewString(), ProjectID: project.ID, Label: fmt.Sprint(i)})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// The device may still be on its way out.
	if err := c.DeleteProject(ctx, project.ID); err != nil {
		t.Fatal(err)
	}
	if status, _ := send(t, server, key.Token, "GET", "/projects", nil); status != 401 {
		t.Errorf("the key of a deleted project is good for %d, want 401", status)
	}
	if _, err := c.Project(ctx, project.ID); !packet.IsNotFound(err) {
		t.Errorf("a deleted project: %v, want not found", err)
	}
	until(t, "what the project had goes", func() bool { return len(remains(t, server, project.ID)) == 0 })
}

// remains lists the kinds of records that a project has in the store.
func remains(t *testing.T, server *apiservertest.Server, projectID string) []string {
	t.Helper()
	var kinds []string
	err := server.Change(t.Context(), func(tx *store.Tx) error {
		kinds = nil
		in := store.InProject(projectID)
		for kind, count := range map[string]int{
			"devices": tx.Devices.Count(in), "reservations": tx.Reservations.Count(in), "SSH keys": tx.SSHKeys.Count(in),
			"tokens": tx.Tokens.Count(in), "BGP configs": tx.BGPConfigs.Count(in), "BGP sessions": tx.BGPSessions.Count(in),
			"batches": tx.Batches.Count(in), "virtual networks": tx.VirtualNetworks.Count(in), "VRFs": tx.VRFs.Count(in),
			"metal gateways": tx.MetalGateways.Count(in), "hardware reservations": tx.HardwareReservations.Count(in),
		} {
			if count > 0 {
				kinds = append(kinds, kind)
			}
		}
		if _, ok := tx.Contents.Get(in); ok {
			kinds = append(kinds, "contents")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return kinds
}

// TestNothingIsLeftInADeletedProject makes things in projects by one process
// while another deletes them. What it is told was made is either there, or
// went with the project.
func TestNothingIsLeftInADeletedProject(t *testing.T) {
	endpoints := apiservertest.StartEtcd(t)
	one := apiservertest.Start(t, apiservertest.Options{EtcdEndpoints: endpoints, Token: "shared-token"})
	two := apiservertest.Start(t, apiservertest.Options{EtcdEndpoints: endpoints, Token: "shared-token"})
	c := one.Client(t)
	deleted, kept := 0, 0
	for round := range 30 {
		project, err := c.CreateProject(t.Context(), packet.ProjectCreate{Name: fmt.Sprint(round)})
		if err != nil {
			t.Fatal(err)
		}
		in := "/projects/" + project.ID
		requests := [][2]string{
			{in + "/ssh-keys", `{"label":"l","key":"` + testKey + `"}`},
			{in + "/api-keys", `{}`},
			{in + "/ips", `{"type":"public_ipv4","quantity":1,"metro":"da"}`},
			{in + "/devices", `{"plan":"c3.small.x86","operating_system":"ubuntu_24_04","metro":"da"}`},
			{in + "/bgp-configs", `{"deployment_type":"local","asn":65000}`},
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			request := requests[round%len(requests)]
			if status, text := send(t, one, one.Token, "POST", request[0], []byte(request[1])); status >= 300 && status != 404 {
				t.Errorf("POST %s: %d %s", request[0], status, text)
			}
		}()
		status, text := send(t, two, two.Token, "DELETE", in, nil)
		<-done
		switch status {
		case http.StatusNoContent:
			deleted++
			if left := remains(t, two, project.ID); len(left) > 0 {
				t.Errorf("of a deleted project there are left: %v", left)
			}
		case http.StatusUnprocessableEntity:
			kept++
		default:
			t.Errorf("DELETE %s: %d %s", in, status, text)
		}
	}
	t.Logf("%d projects were deleted, %d kept", deleted, kept)
}

// TestADeviceForgetsADeletedSSHKey and of a user's new name: devices are
// shown from memory, which was not told of either.
func TestADeviceForgetsADeletedSSHKey(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	key, err := c.CreateProjectSSHKey(t.Context(), server.ProjectID, packet.SSHKeyCreate{Label: "l", Key: testKey})
	if err != nil {
		t.Fatal(err)
	}
	device := activeDevice(t, c, server.ProjectID, order("forgetful"))
	if len(device.SSHKeys) != 1 {
		t.Fatalf("the device has the keys %+v, want one", device.SSHKeys)
	}
	if err := c.DeleteSSHKey(t.Context(), key.ID); err != nil {
		t.Fatal(err)
	}
	raw(t, server, "PUT", "/user", `{"first_name":"New","last_name":"Name"}`)
	device, err = c.Device(t.Context(), device.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(device.SSHKeys) != 0 || device.CreatedBy.FullName != "New Name" {
		t.Errorf("the device shows the keys %+v and is by %+v, want none, and New Name", device.SSHKeys, device.CreatedBy)
	}
}

// TestASSHKeyGoesOnAllInstances makes a key with an empty list of instances,
// which stands for all of them.
func TestASSHKeyGoesOnAllInstances(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	c := server.Client(t)
	for i := range 3 {
		if _, err := c.CreateDevice(t.Context(), server.ProjectID, order(fmt.Sprintf("all-%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.CreateProjectSSHKey(t.Context(), server.ProjectID, packet.SSHKeyCreate{Label: "l", Key: testKey, InstancesIDs: &[]string{}}); err != nil {
		t.Fatal(err)
	}
	devices, err := c.Devices(t.Context(), server.ProjectID, packet.DeviceFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, device := range devices {
		if len(device.SSHKeys) != 1 {
			t.Errorf("device %s has the keys %+v, want one", device.Hostname, device.SSHKeys)
		}
	}
}

func TestBadIdentityInput(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	unknown := uuid.NewString()
	for _, test := range []struct {
		method, path, body string
		texts              []string
	}{
		{"POST", "/projects", `{"type":"vmce","payment_method_id":"` + unknown + `","customdata":5}`, []string{
			"name can't be blank", `type "vmce" is not one of: default`, "payment_method_id", "customdata must be a JSON object, not 5"}},
		{"POST", "/projects", `{"name":"🚀"}`, []string{"more than three bytes"}},
		{"POST", "/projects", `{"name":"x","organization_id":"` + unknown + `"}`, []string{"organization_id"}},
		{"PUT", "/projects/" + server.ProjectID, `{"name":""}`, []string{"name can't be blank"}},
		{"PUT", "/projects/" + server.ProjectID, `{"tags":"x"}`, []string{"tags must be a list, not a JSON string"}},
		{"POST", "/organizations", `{"name":"x","address":{"city":"Y"},"enforce_2fa_at":"2026-01-01T00:00:00Z"}`, []string{
			"address.address can't be blank", "address.zip_code can't be blank", "address.country can't be blank", "no second factor"}},
		{"GET", "/organizations?personal=maybe", "", []string{`personal "maybe" is not one of: include, exclude, only`}},
		{"PUT", "/user", `{"password":"hunter2"}`, []string{"password is not possible"}},
		{"POST", "/user/api-keys", `{"read_only":"x"}`, []string{"read_only must be true or false"}},
		{"POST", "/ssh-keys", `{"label":"l","key":"-----BEGIN OPENSSH PRIVATE KEY-----\nsecret"}`, []string{"key is a private key"}},
		{"POST", "/ssh-keys", `{"label":"l","key":"` + testKey + `","instances_ids":["` + unknown + `"]}`, []string{"instances_ids"}},
		{"POST", "/userdata/validate", "", []string{"userdata can't be blank"}},
		{"POST", "/userdata/validate", `{"userdata":"echo secret"}`, []string{"userdata does not begin with"}},
	} {
		answer, body := raw(t, server, test.method, test.path, test.body)
		texts := errorsOf(body)
		if answer.StatusCode != http.StatusUnprocessableEntity || len(texts) != len(test.texts) {
			t.Errorf("%s %s %s: %d %q, want 422 with %d texts", test.method, test.path, test.body, answer.StatusCode, texts, len(test.texts))
			continue
		}
		for i, want := range test.texts {
			if !strings.Contains(texts[i], want) || strings.Contains(texts[i], "secret") || strings.Contains(texts[i], "hunter2") {
				t.Errorf("%s %s %s: %q, want it to have %q, and no secret", test.method, test.path, test.body, texts[i], want)
			}
		}
	}
	if status, _ := send(t, server, server.Token, "DELETE", "/organizations/"+unknown, nil); status != 404 {
		t.Errorf("deleting an unknown organization: %d", status)
	}
}

// decode reads what is at a path.
func decode(t *testing.T, server *apiservertest.Server, token, path string, into any) {
	t.Helper()
	status, text := send(t, server, token, "GET", path, nil)
	if status != 200 {
		t.Fatalf("GET %s: %d %s", path, status, text)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}
